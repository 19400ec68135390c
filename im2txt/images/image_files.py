"""From an image file to the bytes that go into a shard: JPEG bytes untouched after a check, anything else as JPEG.

TensorFlow's decoder refuses a JPEG that ends early; it must not do so in the middle of training. `header` walks the
markers to the end marker: the same verdict on truncation at a hundredth of the cost of decoding. `decode` decodes every
photograph. Neither finds flipped bits inside the pixels; no decoder does.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import warnings
from typing import Literal

from PIL import Image, ImageOps

from im2txt.system import storage

Verification = Literal["header", "decode"]

MAX_PIXELS = 89_478_485
"""Larger pictures are refused, as Pillow warns of: decoded they fill a quarter of a gigabyte, and mostly are bombs."""
JPEG_QUALITY = 95
"""Of photographs that must be written anew."""

# Baseline, extended and progressive Huffman with 8 bits; the other kinds every decoder of the trainer refuses.
_DECODABLE_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
# In entropy-coded data 0xFF is followed by 0 or a restart marker; anything else is the next marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ORIENTATION = 0x0112
# What Pillow's readers throw at damaged files.
_READER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


class UnusablePhotographError(Exception):
    """A photograph that cannot go into a shard.

    Attributes:
        reason: a short name for counting: `missing_photograph`, `unreadable`, `empty_file`, `not_an_image`,
            `truncated`, `damaged` or `too_large`.
        detail: what was seen.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


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
    """Returns the JPEG bytes to store for an image file of any usual format.

    Bytes of a sound JPEG come back untouched, unless it is CMYK, lies on its side by its EXIF orientation, or is to be
    resized. PNG, WebP, GIF (first frame), BMP and TIFF (first page) become upright RGB JPEG, transparency on white.

    Args:
        path: local or remote; its ending is not looked at.
        options: the strictness of the check, and the size to store.

    Raises:
        UnusablePhotographError: if the file cannot be read or is no sound image.
    """
    try:
        content = storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UnusablePhotographError("missing_photograph", f"no file {path!r}") from error
    except OSError as error:
        raise UnusablePhotographError("unreadable", str(error)) from error
    if not content:
        raise UnusablePhotographError("empty_file", f"{path!r} has 0 bytes")
    if content[:3] == b"\xff\xd8\xff":
        frame = walk_jpeg(content)
        if not _must_rewrite(frame, options.resize_shorter_side):
            if options.verify == "decode":
                _decode(content, for_check=True)
            return content
    return _rewrite(content, options.resize_shorter_side)


@dataclasses.dataclass(frozen=True)
class JpegFrame:
    """What a JPEG's markers say: size in pixels, colour channels, and whether a decoder would need special care."""

    width: int
    height: int
    channels: int
    decodable: bool
    upright: bool


def walk_jpeg(content: bytes) -> JpegFrame:
    """Walks a JPEG's markers up to its end marker.

    Raises:
        UnusablePhotographError: `truncated` if the file ends before its end marker, `damaged` if the markers make no
            sense, `too_large` if its pixels exceed `MAX_PIXELS`.
    """
    position, frame, upright = 2, None, True
    while True:
        if content[position : position + 1] not in (b"\xff", b""):
            raise UnusablePhotographError("damaged", f"no JPEG marker at byte {position}")
        while content[position : position + 2] == b"\xff\xff":  # Fill bytes.
            position += 1
        if position + 4 > len(content) and content[position + 1 : position + 2] != bytes((_END_OF_IMAGE,)):
            raise UnusablePhotographError("truncated", f"{len(content)} bytes without the JPEG's end marker")
        marker = content[position + 1]
        if marker == _END_OF_IMAGE:
            break
        length = int.from_bytes(content[position + 2 : position + 4])
        segment = content[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _FRAMES:
            frame = _read_frame(marker, segment)
        elif marker == _APP1 and segment.startswith(b"Exif\0\0"):
            upright = _exif_orientation(segment[6:]) <= 1
        elif marker == _START_OF_SCAN:
            match = _MARKER.search(content, position)
            position = match.start() if match else len(content)
    if frame is None:
        raise UnusablePhotographError("damaged", "a JPEG without a picture")
    return dataclasses.replace(frame, upright=upright)


def _read_frame(marker: int, segment: bytes) -> JpegFrame:
    if len(segment) < 6:
        raise UnusablePhotographError("truncated", "the JPEG's frame header is cut short")
    height, width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    _check_pixels(width, height)
    return JpegFrame(width, height, segment[5], marker in _DECODABLE_FRAMES and segment[0] == 8, upright=True)


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


def _must_rewrite(frame: JpegFrame, resize_shorter_side: int | None) -> bool:
    too_large = resize_shorter_side is not None and min(frame.width, frame.height) > resize_shorter_side
    return too_large or not frame.decodable or not frame.upright or frame.channels not in (1, 3)


def _check_pixels(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise UnusablePhotographError("too_large" if width and height else "damaged", f"{width} x {height} pixels")


def _decode(content: bytes, for_check: bool = False) -> Image.Image:
    """Returns the upright picture; for a check, an eighth of its size: all bytes are read, most arithmetic is saved."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Odd metadata is no reason for a line per photograph.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
            _check_pixels(image.width, image.height)
            if for_check:
                image.draft(None, (1, 1))
            image.load()
            image = ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusablePhotographError("too_large", str(error)) from error
    except Image.UnidentifiedImageError as error:
        raise UnusablePhotographError("not_an_image", f"starts with {content[:16]!r}") from error
    except _READER_ERRORS as error:
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise UnusablePhotographError(reason, str(error)) from error
    return image


def _rewrite(content: bytes, resize_shorter_side: int | None) -> bytes:
    image = _to_rgb(_decode(content))
    scale = (resize_shorter_side or min(image.size)) / min(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":  # 16 bits per channel: convert() would clip, not scale.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
