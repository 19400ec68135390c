"""From an image file to the bytes that go into a shard: JPEG bytes untouched after a check, anything else as JPEG.

TensorFlow's decoder refuses a JPEG that ends early or whose tables are broken; it must not do so in the middle of
training. `header` walks the markers and tables: the same verdict at a tenth of the cost of decoding or less. `decode`
decodes every photograph. Neither finds flipped bits inside the pixels; no decoder does.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from PIL import Image, ImageOps

from im2txt.images.jpeg_structure import Jpeg, read_structure
from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.system import storage

Verification = Literal["header", "decode"]

MAX_PIXELS = 89_478_485
"""Larger pictures are refused, as Pillow warns of: decoded they fill a quarter of a gigabyte, and mostly are bombs."""
JPEG_QUALITY = 95
"""Of photographs that must be written anew."""
_MAX_JPEG_SIDE = 65_500

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ORIENTATION = 0x0112
# What Pillow's readers throw at damaged files.
_READER_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError),  # Of values in headers that none checks.
)


@dataclasses.dataclass(frozen=True)
class PhotographOptions:
    """How photographs are checked and stored."""

    verify: Verification = "header"
    """How strictly a JPEG is checked: `header` walks its markers to the end marker, `decode` decodes it."""
    resize_shorter_side: int | None = None
    """Pixels; larger photographs are shrunk to it and written anew. 346 suits an encoder of 299 pixels."""

    def __post_init__(self) -> None:
        if self.resize_shorter_side is not None and self.resize_shorter_side < 1:
            raise ValueError(f"--resize_shorter_side={self.resize_shorter_side} must be at least 1 pixel.")


def read_photograph(path: str, options: PhotographOptions) -> bytes:
    """Returns the JPEG bytes to store for an image file; see `to_jpeg`.

    Args:
        path: local or remote; its ending is not looked at.
        options: the strictness of the check, and the size to store.

    Raises:
        UnusablePhotographError: if the file cannot be read or is no sound image.
    """
    try:
        content = storage.read_bytes(path, storage.MAX_PHOTOGRAPH_BYTES)
    except FileNotFoundError as error:
        raise UnusablePhotographError("missing_photograph", f"no file {path!r}") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name, a protocol that nothing here knows.
        raise UnusablePhotographError("unreadable", str(error)) from error
    if not content:
        raise UnusablePhotographError("empty_file", f"{path!r} has 0 bytes")
    return to_jpeg(content, options)


def to_jpeg(content: bytes, options: PhotographOptions, max_pixels: int | None = None) -> bytes:
    """Returns the JPEG bytes to store for the content of an image file of any usual format.

    Bytes of a sound JPEG come back untouched, unless it is CMYK, lies on its side by its EXIF orientation, or is to be
    resized. PNG, WebP, GIF (first frame), BMP and TIFF (first page) become upright RGB JPEG, transparency on white,
    16 bits per channel divided by 257. Floating-point and 32-bit pixels are refused: their white is not agreed on.

    Args:
        content: of the file, not empty.
        options: the strictness of the check, and the size to store.
        max_pixels: larger pictures are refused by their header, before they are decoded; None takes `MAX_PIXELS`.

    Raises:
        UnusablePhotographError: if it is no sound image.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    if content[:3] == b"\xff\xd8\xff":
        jpeg = read_structure(content)
        _check_pixels(jpeg.width, jpeg.height, max_pixels)
        if not _must_rewrite(jpeg, options.resize_shorter_side):
            if options.verify == "decode":
                _decode(content, max_pixels, for_check=True)
            return content
    return _rewrite(content, options.resize_shorter_side, max_pixels)


def _exif_orientation(exif: bytes) -> int:
    reader = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.load(exif)
            orientation = reader.get(_ORIENTATION, 1)
    except _READER_ERRORS:  # Of broken EXIF no decoder takes notice.
        return 1
    return orientation if isinstance(orientation, int) and orientation <= 8 else 1


def _must_rewrite(jpeg: Jpeg, resize_shorter_side: int | None) -> bool:
    too_large = resize_shorter_side is not None and min(jpeg.width, jpeg.height) > resize_shorter_side
    upright = not jpeg.exif or _exif_orientation(jpeg.exif) <= 1
    return too_large or not jpeg.decodable or not upright or jpeg.channels not in (1, 3)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if not width or not height:
        raise UnusablePhotographError("damaged", f"{width} x {height} pixels")
    if width * height > max_pixels:
        raise UnusablePhotographError("too_large", f"{width} x {height} pixels; at most {max_pixels:,} are read")


def _decode(content: bytes, max_pixels: int, for_check: bool = False) -> Image.Image:
    """Returns the upright picture; for a check, an eighth of its size: all bytes are read, most arithmetic is saved."""
    with _reader_errors(content):
        image: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
        _check_pixels(image.width, image.height, max_pixels)
        if for_check:
            image.draft(None, (1, 1))
        image.load()
        return ImageOps.exif_transpose(image)


def _rewrite(content: bytes, resize_shorter_side: int | None, max_pixels: int) -> bytes:
    image = _decode(content, max_pixels)
    with _reader_errors(content):
        image = _to_rgb(image)
        scale = (resize_shorter_side or min(image.size)) / min(image.size)
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.LANCZOS)
        if max(image.size) > _MAX_JPEG_SIDE:
            raise UnusablePhotographError("too_large", f"{image.width} x {image.height} pixels do not fit a JPEG")
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=JPEG_QUALITY)
        return encoded.getvalue()


@contextmanager
def _reader_errors(content: bytes) -> Iterator[None]:
    """Turns whatever Pillow throws at a damaged file into an UnusablePhotographError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Odd metadata is no reason for a line per photograph.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusablePhotographError("too_large", f"more than {MAX_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise UnusablePhotographError("not_an_image", f"starts with {content[:16]!r}") from error
    except _READER_ERRORS as error:
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise UnusablePhotographError(reason, str(error)) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I"):
        kind = "floating point" if image.mode == "F" else "32 bits"
        raise UnusablePhotographError(
            "unsupported", f"pixels of {kind} have no agreed white; save it with 8 or 16 bits per channel"
        )
    if image.mode.startswith("I;16"):  # White is 65535: convert() would clip, not scale.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
