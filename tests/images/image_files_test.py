import io
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from im2txt.images import image_files
from im2txt.images.image_files import PhotographOptions, UnusablePhotographError, read_photograph
from im2txt.system import storage
from tests.tiny_flickr8k import jpeg

HEADER, DECODE = PhotographOptions(), PhotographOptions(verify="decode")
BOTH = pytest.mark.parametrize("options", [HEADER, DECODE], ids=["header", "decode"])


def tensorflow_decodes(content: bytes) -> bool:
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def read(tmp_path, content, options=HEADER, name="a b.jpg"):
    path = tmp_path / name
    path.write_bytes(content)
    return read_photograph(str(path), options)


def reason(tmp_path, content, options=HEADER):
    with pytest.raises(UnusablePhotographError, match=".") as caught:
        read(tmp_path, content, options)
    assert caught.value.detail
    return caught.value.reason


def saved(image: Image.Image, kind: str, **settings) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return tf.io.decode_jpeg(content, channels=3).numpy().astype(int)


def picture(size=(48, 32)) -> Image.Image:
    """Red in the upper left quarter, blue elsewhere."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1] // 2))
    return image


def assert_upright_picture(content: bytes, size=(48, 32)) -> None:
    shown = pixels(content)
    assert shown.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(shown[4, 4], (255, 0, 0), atol=12)
    np.testing.assert_allclose(shown[-5, 4], (0, 0, 255), atol=12)
    np.testing.assert_allclose(shown[4, -5], (0, 0, 255), atol=12)


SOUND = {
    "plain": jpeg(1),
    "progressive": jpeg(2, progressive=True),
    "restart markers": jpeg(3, restart_marker_rows=1),
    "grey": saved(Image.new("L", (20, 10), 90), "JPEG"),
    "no chroma subsampling": jpeg(4, quality=100, subsampling=0),
    "comment and profile": jpeg(5, comment=b"\xff\xd9" * 9, icc_profile=b"\xff\xd9\xff\xda" * 99),
    "trailing junk": jpeg(6) + b"junk" * 99,
    "fill bytes": jpeg(7)[:2] + b"\xff\xff" + jpeg(7)[2:],
    "thumbnail in its EXIF": jpeg(8, exif=b"Exif\0\0MM\0*" + jpeg(9)[:60]),
}


@BOTH
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_jpeg_is_kept_to_the_byte(tmp_path, name, options):
    assert read(tmp_path, SOUND[name], options) == SOUND[name]
    assert tensorflow_decodes(SOUND[name])


@BOTH
@pytest.mark.parametrize("name", ["plain", "progressive", "restart markers", "comment and profile"])
def test_a_jpeg_cut_anywhere_is_refused_as_tensorflow_refuses_it(tmp_path, name, options):
    whole = jpeg(1) if name == "plain" else SOUND[name]
    cuts = sorted({3, 4, 10, len(whole) - 1, len(whole) - 2, *range(20, len(whole), max(1, len(whole) // 40))})
    for length in cuts:
        cut = whole[:length]
        assert not tensorflow_decodes(cut)
        assert reason(tmp_path, cut, options) in ("truncated", "damaged"), length


def test_a_jpeg_of_broken_structure_is_damage(tmp_path):
    whole = jpeg(1)
    assert reason(tmp_path, whole.replace(b"\xff\xdb", b"\xff\xfe")) == "damaged"  # Quantisation tables as comments.
    assert reason(tmp_path, b"\xff\xd8\xff\xd9") == "damaged"


def test_flipped_bits_in_the_pixels_are_beyond_header_and_decoders_alike(tmp_path):
    content = bytearray(jpeg(1, size=(200, 200), quality=95))
    content[len(content) // 2] ^= 0x10
    assert read(tmp_path, bytes(content)) == bytes(content)
    assert tensorflow_decodes(bytes(content))


@BOTH
def test_what_is_no_image_is_told_by_its_content(tmp_path, options):
    assert reason(tmp_path, b"", options) == "empty_file"
    assert reason(tmp_path, b"<!DOCTYPE html><html>404</html>", options) == "not_an_image"
    assert reason(tmp_path, b"\0" * 5000, options) == "not_an_image"
    assert reason(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n", options) == "not_an_image"


def test_missing_and_unreadable_files_are_told_apart(tmp_path):
    with pytest.raises(UnusablePhotographError, match="missing_photograph: no file .*gone.jpg"):
        read_photograph(str(tmp_path / "gone.jpg"), HEADER)
    os.mkdir(tmp_path / "folder.jpg")
    with pytest.raises(UnusablePhotographError, match="unreadable: .* is a folder"):
        read_photograph(str(tmp_path / "folder.jpg"), HEADER)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnusablePhotographError, match="unreadable: .* is a named pipe"):
        read_photograph(str(tmp_path / "pipe.jpg"), HEADER)


def test_a_file_larger_than_any_photograph_is_not_read(tmp_path):
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(storage.MAX_PHOTOGRAPH_BYTES + 1)  # Takes no room on the disk.
    with pytest.raises(UnusablePhotographError, match="unreadable: .* has 268,435,457 bytes"):
        read_photograph(str(tmp_path / "huge.jpg"), HEADER)


@BOTH
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_become_jpeg_whatever_the_name_says(tmp_path, kind, options):
    settings = {"lossless": True} if kind == "WEBP" else {}
    assert_upright_picture(read(tmp_path, saved(picture(), kind, **settings), options))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_half_a_file_of_another_format_is_refused(tmp_path, kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(noise, kind)
    assert reason(tmp_path, content[: len(content) // 2]) in ("truncated", "damaged")


def test_a_header_whose_values_are_of_another_type_is_damage(tmp_path):
    content = bytearray(saved(Image.new("L", (16, 7)), "TIFF"))
    at = content.index(struct.pack("<HH", 273, 4))  # Where the pixels begin: an integer,
    content[at + 2] = 5  # and now a fraction.
    assert reason(tmp_path, bytes(content)) == "damaged"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_caller_may_take_fewer_pixels(kind):
    content = saved(Image.new("L", (30, 20)), kind)
    assert image_files.to_jpeg(content, HEADER, max_pixels=600)
    with pytest.raises(UnusablePhotographError, match=r"^too_large: 30 x 20 pixels; at most \d+ are read$"):
        image_files.to_jpeg(content, HEADER, max_pixels=599)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotation_is_undone(tmp_path, orientation):
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(picture().transpose(turned), "JPEG", exif=exif, quality=95)
    upright = read(tmp_path, content)
    assert_upright_picture(upright)
    assert read(tmp_path, upright) == upright


def test_an_upright_orientation_is_no_reason_to_touch_the_bytes(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 1
    content = saved(picture(), "JPEG", exif=exif)
    assert read(tmp_path, content) == content


def test_cmyk_becomes_rgb(tmp_path):
    converted = read(tmp_path, saved(picture().convert("CMYK"), "JPEG", quality=95))
    assert Image.open(io.BytesIO(converted)).mode == "RGB"
    assert_upright_picture(converted)


def test_broken_exif_is_no_reason_to_touch_the_bytes(tmp_path):
    # An orientation of type 99, a directory of 65,535 entries, one beyond the end, and no TIFF header at all.
    entry = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\x63\0\0\0\1\0\6\0\0\0\0\0\0"
    for exif in (entry, b"MM\0*\0\0\0\x08\xff\xff", b"MM\0*\xff\xff\xff\xff", b"nonsense", b"M", b""):
        content = jpeg(1, exif=b"Exif\0\0" + exif)
        assert read(tmp_path, content) == content


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_there_is_not_is_ignored(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    content = saved(picture(), "JPEG", exif=exif)
    assert read(tmp_path, content) == content


@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_pixels_without_an_agreed_white_are_refused_not_made_black(tmp_path, values):
    content = saved(Image.fromarray(np.linspace(0, 1, 64).reshape(8, 8).astype(values)), "TIFF")
    assert reason(tmp_path, content) == "unsupported"


def test_sixteen_bits_of_colour_keep_their_shades(tmp_path):
    # No writer at hand makes such a file; a PNG's rows are filter 0 and big-endian samples.
    rows = b"".join(b"\0" + struct.pack(">3H", 64 * 257, 128 * 257, 192 * 257) * 16 for _ in range(16))

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_allclose(pixels(read(tmp_path, content))[8, 8], (64, 128, 192), atol=3)


def test_a_picture_too_long_for_a_jpeg_is_refused(tmp_path):
    assert reason(tmp_path, saved(Image.new("1", (65_501, 2)), "PNG")) == "too_large"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind):
    grey = np.full((16, 16), 128 * 257, dtype=np.uint16)
    grey[:8] = 64 * 257
    shown = pixels(read(tmp_path, saved(Image.fromarray(grey), kind)))
    np.testing.assert_allclose(shown[3, 3], 64, atol=3)
    np.testing.assert_allclose(shown[12, 12], 128, atol=3)


def test_transparency_becomes_white(tmp_path):
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 16, 8))
    shown = pixels(read(tmp_path, saved(image, "PNG")))
    np.testing.assert_allclose(shown[2, 8], (255, 0, 0), atol=12)
    np.testing.assert_allclose(shown[13, 8], 255, atol=6)


def test_large_photographs_shrink_to_the_shorter_side_and_small_ones_stay(tmp_path):
    options = PhotographOptions(resize_shorter_side=20)
    assert_upright_picture(read(tmp_path, saved(picture((120, 80)), "JPEG"), options), size=(30, 20))
    assert_upright_picture(read(tmp_path, saved(picture((80, 120)), "PNG"), options), size=(20, 30))
    small = jpeg(1, size=(40, 20))
    assert read(tmp_path, small, options) == small


@BOTH
def test_bombs_are_refused_before_they_are_decoded(tmp_path, options, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 1000)
    assert reason(tmp_path, jpeg(1, size=(40, 30)), options) == "too_large"
    assert reason(tmp_path, saved(picture((40, 30)), "PNG"), options) == "too_large"
    assert read(tmp_path, jpeg(1, size=(40, 25)), options)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_real_bomb_is_refused_whether_pillow_only_warns_or_stops(tmp_path, side):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    pixels = zlib.compress(b"\0" * 1000)
    bomb += struct.pack(">I", len(pixels)) + b"IDAT" + pixels + struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
    assert reason(tmp_path, bomb) == "too_large"


def test_the_same_photograph_is_always_rewritten_to_the_same_bytes(tmp_path):
    content = saved(picture(), "PNG")
    assert read(tmp_path, content) == read(tmp_path, content, name="Ünï.png")


def test_a_size_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="resize_shorter_side=0 must be at least 1 pixel"):
        PhotographOptions(resize_shorter_side=0)
