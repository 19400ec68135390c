"""Every verdict on a JPEG's structure is compared with that of the decoder which training uses."""

import io
import random
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from im2txt.images.jpeg_structure import read_structure
from im2txt.images.unusable_photographs import UnusablePhotographError

Segment = tuple[int, bytes]  # The marker, and everything from it on up to the next; a scan with its entropy-coded data.


def saved(**settings) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((64, 48)).convert(settings.pop("mode", "RGB")).save(stream, "JPEG", **settings)
    return stream.getvalue()


SOUND = {
    "plain": saved(),
    "progressive": saved(progressive=True),
    "own tables": saved(optimize=True),
    "restarts": saved(restart_marker_rows=1),
    "no subsampling": saved(subsampling=0),
    "grey": saved(mode="L"),
}


def split(content: bytes) -> list[Segment]:
    segments, position = [], 2
    while (marker := content[position + 1]) != 0xD9:
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4])
        if marker == 0xDA:
            end = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(content, end).start()
        segments.append((marker, content[position:end]))
        position = end
    return segments


def join(segments: list[Segment]) -> bytes:
    return b"\xff\xd8" + b"".join(content for _, content in segments) + b"\xff\xd9"


def tensorflow_decodes(content: bytes) -> bool:
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def fault(content: bytes) -> str:
    """What is found wrong, empty if nothing is."""
    try:
        return "" if read_structure(content).decodable else "another kind"
    except UnusablePhotographError as error:
        return str(error)


def without(marker: int, name: str = "plain", keep: int = 0) -> bytes:
    """A sound JPEG less the segments of a marker, except the first few."""
    seen = 0
    segments = []
    for segment in split(SOUND[name]):
        seen += segment[0] == marker
        if segment[0] != marker or seen <= keep:
            segments.append(segment)
    return join(segments)


def changed(marker: int, offset: int, value: int, name: str = "plain") -> bytes:
    """A sound JPEG with one byte of the first segment of a marker replaced; offset 0 is the first after the length."""
    segments = split(SOUND[name])
    index = [kind for kind, _ in segments].index(marker)
    content = bytearray(segments[index][1])
    content[4 + offset] = value
    segments[index] = (marker, bytes(content))
    return join(segments)


def inserted(content: bytes, at: int = 1, name: str = "plain") -> bytes:
    """A sound JPEG with bytes between two segments."""
    segments = split(SOUND[name])
    return join([*segments[:at], (0, content), *segments[at:]])


def interrupted(interval: int) -> bytes:
    """The picture with restarts, a reserved marker in the place of two bytes of one restart interval."""
    content = bytearray(SOUND["restarts"])
    starts = [match.end() for match in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    content[starts[interval] + 4 : starts[interval] + 6] = b"\xff\x05"
    return bytes(content)


REFUSED = {
    "a reserved marker in the last restart interval": (interrupted(-1), "the marker 0x05"),
    "no quantisation table": (without(0xDB), "no quantisation table 0"),
    "one of two quantisation tables": (without(0xDB, keep=1), "no quantisation table 1"),
    "no Huffman tables, progressive": (without(0xC4, "progressive"), "Huffman table 0/0 is not defined"),
    "no frame": (without(0xC0), "a scan before the frame"),
    "no scan": (without(0xDA), "without a picture"),
    "two frames": (join([*split(SOUND["plain"])[:4], *split(SOUND["plain"])[3:]]), "two frames"),
    "a scan too many": (join([*split(SOUND["plain"]), split(SOUND["plain"])[-1]]), "a second scan"),
    "quantisation table 7": (changed(0xDB, 0, 7), "quantisation table 7"),
    "quantisation table of 16 bits in 64 bytes": (changed(0xDB, 0, 0x10), "quantisation tables cut short"),
    "Huffman table 5": (changed(0xC4, 0, 5), "a Huffman table 0/5"),
    "more symbols than bytes": (changed(0xC4, 5, 200), "a Huffman table 0/0 of"),
    "fewer symbols than bytes": (changed(0xC4, 3, 0), "Huffman tables cut short"),
    "three codes of one bit": (inserted(b"\xff\xc4\0\x16\0\3" + b"\0" * 15 + b"\1\2\3", 7), "more codes than fit"),
    "two codes of one bit": (inserted(b"\xff\xc4\0\x15\0\2" + b"\0" * 15 + b"\1\2", 7), "more codes than fit"),
    "a DC symbol of 16": (inserted(b"\xff\xc4\0\x14\0\1" + b"\0" * 15 + b"\x10", 7), "has the symbol 16"),
    "a scan's table 2 of 2": (changed(0xDA, 2, 0x20), "Huffman table 0/2 is not defined"),
    "a scan of an unknown component": (changed(0xDA, 1, 9), "a scan of component 9"),
    "a scan of one component twice": (changed(0xDA, 3, 1), "a scan of component 1"),
    "a scan of no component": (changed(0xDA, 0, 0), "a scan header of 0 components"),
    "no height": (changed(0xC0, 2, 0), "a frame header of 64 x 0 pixels"),
    "a side of 65535": (changed(0xC0, 1, 255).replace(b"\xff\x30\0\x40", b"\xff\xff\0\x40"), "64 x 65535 pixels"),
    "sampling 0": (changed(0xC0, 7, 0x02), "horizontal sampling factors"),
    "sampling 3 to 2": (changed(0xC0, 10, 0x32), "horizontal sampling factors [2, 3, 1]"),
    "more than ten blocks": (changed(0xC0, 7, 0x44), "a scan of more than 10 blocks"),
    "a restart interval of three bytes": (inserted(b"\xff\xdd\0\5\0\0\1"), "a restart interval of 3 bytes"),
    "a reserved marker": (inserted(b"\xff\x05\0\2"), "the marker 0x05"),
    "a second start": (inserted(b"\xff\xd8"), "0xd8"),
    "broken arithmetic conditioning": (inserted(b"\xff\xcc\0\4\x40\1"), "broken arithmetic conditioning"),
    "a band that ends before it begins": (
        changed(0xDA, 8, 9, "progressive"),
        "of coefficients 0 to 9",
    ),
    "bits to be refined at once": (changed(0xDA, 9, 0x31, "progressive"), "bits 3 to 1"),
    "a table without bytes": (inserted(b"\xff\xdb\0\0"), "length 0"),
    "cut before its end marker": (SOUND["plain"][:-2], "without the JPEG's end marker"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_decoder_refuses_is_refused(name):
    content, message = REFUSED[name]
    assert message in fault(content)
    assert not tensorflow_decodes(content)


FORGIVEN = {
    "a reserved marker in the first restart interval": interrupted(0),
    **SOUND,
    "no Huffman tables, as in Motion JPEG": without(0xC4),
    "garbage between segments": inserted(b"garbage"),
    "a zero after a marker's first byte": inserted(b"\xff\0"),
    "markers without parameters": inserted(b"\xff\x01\xff\xd3"),
    "a comment of length 0": inserted(b"\xff\xfe\0\0"),
    "one scan of a progressive picture": join(split(SOUND["progressive"])[:7]),
    "a broken Huffman table that no scan uses": inserted(b"\xff\xc4\0\x14\3\1" + b"\0" * 15 + b"\x77"),
    "a table defined after another of its id": inserted(split(SOUND["plain"])[1][1], 3),
    "sound arithmetic conditioning": inserted(b"\xff\xcc\0\4\0\x10"),
}


@pytest.mark.parametrize("name", FORGIVEN)
def test_what_the_decoder_forgives_is_forgiven(name):
    assert tensorflow_decodes(FORGIVEN[name])
    assert fault(FORGIVEN[name]) == ""


def test_size_channels_and_kind_are_told():
    plain, grey = read_structure(SOUND["plain"]), read_structure(SOUND["grey"])
    assert (plain.width, plain.height, plain.channels, plain.decodable) == (64, 48, 3, True)
    assert (grey.width, grey.height, grey.channels) == (64, 48, 1)
    assert not read_structure(SOUND["plain"].replace(b"\xff\xc0\0", b"\xff\xc9\0")).decodable  # Arithmetic coding.


def test_mutated_headers_and_tables_are_judged_as_the_decoder_judges_them():
    generator = random.Random(7)
    verdicts = []
    for _ in range(400):
        segments = split(generator.choice(list(SOUND.values())))
        index = generator.randrange(len(segments))
        marker, content = segments[index]
        mutated = bytearray(content)
        end = 4 + 10 if marker == 0xDA else len(content)  # Of scans, the headers.
        match generator.randrange(4):
            case 0:
                mutated[generator.randrange(2, min(end, len(content)))] = generator.choice([0, 1, 2, 16, 63, 255])
            case 1:
                mutated[generator.randrange(2, min(end, len(content)))] ^= 1 << generator.randrange(8)
            case 2:
                segments.insert(generator.randrange(len(segments)), segments[index])
            case 3:
                del segments[index]
                index = None
        if index is not None:
            segments[index] = (marker, bytes(mutated))
        whole = join(segments)
        verdicts.append((tensorflow_decodes(whole), fault(whole) in ("", "another kind")))
        if fault(whole) != "another kind":
            assert len(set(verdicts[-1])) == 1, (fault(whole), whole.hex())
    assert 100 < sum(decoded for decoded, _ in verdicts) < 300
