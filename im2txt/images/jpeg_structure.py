"""What a JPEG's markers and tables say, without its pixels: whether TensorFlow decodes it, at a tenth of the cost.

The trainer's decoder, libjpeg-turbo, puts up with flipped bits and missing data inside a scan, but stops at a broken
structure: a scan whose tables are absent or contradict themselves, parameters that no scan may have, a file that ends
early. All of that stands in the few hundred bytes outside the scans. Garbage between segments it skips, and so do we.

Source: ITU-T T.81, Annex B (markers), C (Huffman tables), G (progressive scans); the verdicts are those of
`tf.io.decode_jpeg`, compared on photographs with their headers and tables mutated.
"""

from __future__ import annotations

import dataclasses
import re

from im2txt.images.jpeg_segments import (
    PROGRESSIVE,
    Frame,
    check_conditioning,
    check_frame,
    damaged,
    progressive_classes,
    read_frame,
    read_huffman_tables,
    read_quantisation_tables,
    scan_components,
)
from im2txt.images.unusable_photographs import UnusablePhotographError

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_TABLES, _CONDITIONING, _QUANTISATION_TABLES, _RESTART_INTERVAL, _APP1 = 0xC4, 0xCC, 0xDB, 0xDD, 0xE1
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_PARAMETERS = frozenset((0x01, *range(0xD0, 0xD8)))
# Number of lines, applications' segments and comments.
_SKIPPED = frozenset((0xDC, *range(0xE0, 0xF0), 0xFE))
_KNOWN = _FRAMES | _SKIPPED | {_HUFFMAN_TABLES, _CONDITIONING, _QUANTISATION_TABLES, _RESTART_INTERVAL, _START_OF_SCAN}
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
# In entropy-coded data 0xFF is followed by 0 or a restart marker; anything else ends the scan. Looking for the next
# restart, the decoder passes over reserved markers.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_END_OF_RESTARTING_SCAN = re.compile(rb"\xff[^\x00-\xbf\xff\xd0-\xd7]")
_MAX_SCAN_COMPONENTS = 4
_STANDARD_TABLES = (0, 1)
"""Huffman tables which the decoder brings along for sequential frames, since Motion JPEG leaves them out."""


@dataclasses.dataclass(frozen=True)
class Jpeg:
    """What a JPEG's markers say.

    Attributes:
        width: pixels.
        height: pixels.
        channels: colour components.
        decodable: whether the trainer's decoder knows this kind of frame.
        exif: the first EXIF segment, empty if there is none.
    """

    width: int
    height: int
    channels: int
    decodable: bool
    exif: bytes


def read_structure(content: bytes) -> Jpeg:
    """Walks a JPEG's segments up to its end marker and checks each as the decoder does.

    Args:
        content: a whole file that begins with a JPEG's signature.

    Raises:
        UnusablePhotographError: `truncated` if the file ends before its end marker, `damaged` if the decoder would
            refuse it. A frame of a kind that it does not know is not looked into.
    """
    return _Walk(content).run()


class _Walk:
    """One pass over a file's segments; holds the tables defined so far."""

    def __init__(self, content: bytes):
        self._content = content
        self._position = 2
        self._frame: Frame | None = None
        self._num_scans = 0
        self._is_single_scan = False
        self._quantisation_tables: set[int] = set()
        self._huffman_tables: dict[tuple[int, int], str] = {}  # (class, id) -> what is wrong with it.
        self._restarts = False

    def run(self) -> Jpeg:
        exif = b""
        while (marker := self._next_marker()) != _END_OF_IMAGE:
            if marker in _WITHOUT_PARAMETERS:
                continue
            if marker not in _KNOWN:
                raise damaged(f"the marker {marker:#04x}, which has no place there")
            segment = self._segment(marker)
            if marker == _APP1:
                if not exif and segment.startswith(b"Exif\0\0"):
                    exif = segment[6:]
            elif marker == _QUANTISATION_TABLES:
                self._quantisation_tables |= read_quantisation_tables(segment)
            elif marker == _HUFFMAN_TABLES:
                self._huffman_tables |= read_huffman_tables(segment)
            elif marker in _FRAMES:
                if self._frame is not None:
                    raise damaged("two frames")
                self._frame = read_frame(marker, segment)
            elif marker == _START_OF_SCAN:
                self._check_scan(segment)
                self._skip_scan()
            elif marker == _RESTART_INTERVAL:
                if len(segment) != 2:
                    raise damaged(f"a restart interval of {len(segment)} bytes")
                self._restarts = segment != b"\0\0"
            elif marker == _CONDITIONING:
                check_conditioning(segment)
        if self._frame is None or not self._num_scans:
            raise damaged("a JPEG without a picture")
        frame = self._frame
        return Jpeg(frame.width, frame.height, len(frame.components), frame.decodable, exif)

    def _next_marker(self) -> int:
        content, position = self._content, self._position
        marker = content[position + 1 : position + 2]
        if content[position : position + 1] != b"\xff" or marker in (b"\0", b"\xff", b""):
            match = _MARKER.search(content, position)
            if match is None:
                raise self._truncated()
            position = match.end() - 2
            marker = content[position + 1 : position + 2]
        self._position = position + 2
        return marker[0]

    def _segment(self, marker: int) -> bytes:
        start = self._position + 2
        length = int.from_bytes(self._content[self._position : start])
        end = self._position + max(2, length)
        if end > len(self._content):
            raise self._truncated()
        # Lengths below 2 the decoder forgives where it only skips.
        if length < 2 and marker not in _SKIPPED:
            raise damaged(f"a segment {marker:#04x} of length {length}")
        self._position = end
        return self._content[start:end]

    def _skip_scan(self) -> None:
        content, start = self._content, self._position
        if self._restarts:
            match = _END_OF_RESTARTING_SCAN.search(content, start)
            end = match.start() if match else len(content)
            start = max(start, *(content.rfind(b"\xff" + bytes((code,)), start, end) for code in range(0xD0, 0xD8)))
        match = _END_OF_SCAN.search(content, start)
        if match is None:
            raise self._truncated()
        self._position = match.start()

    def _truncated(self) -> UnusablePhotographError:
        return UnusablePhotographError("truncated", f"{len(self._content)} bytes without the JPEG's end marker")

    def _check_scan(self, segment: bytes) -> None:
        """Checks a scan header (T.81, B.2.3) against the frame and the tables there are."""
        frame = self._frame
        if frame is None:
            raise damaged("a scan before the frame")
        self._num_scans += 1
        if not frame.decodable:
            return
        if self._num_scans == 1:
            check_frame(frame)
        if self._is_single_scan:
            raise damaged("a second scan after one of all components")
        count = segment[0] if segment else 0
        if not 1 <= count <= _MAX_SCAN_COMPONENTS or len(segment) != 4 + 2 * count:
            raise damaged(f"a scan header of {count} components in {len(segment)} bytes")
        components = scan_components(frame, segment[1 : 1 + 2 * count : 2])
        if self._num_scans == 1:
            self._is_single_scan = count == len(frame.components) and frame.marker != PROGRESSIVE
        for component in components:
            if component.quantisation_table not in self._quantisation_tables:
                raise damaged(f"no quantisation table {component.quantisation_table}")
        classes: tuple[int, ...] = (0, 1)
        if frame.marker == PROGRESSIVE:
            classes = progressive_classes(count, *segment[-3:])
        for tables in segment[2 : 2 + 2 * count : 2]:
            for table_class in classes:
                self._check_huffman_table(frame, table_class, tables & 15 if table_class else tables >> 4)

    def _check_huffman_table(self, frame: Frame, table_class: int, table: int) -> None:
        fault = self._huffman_tables.get((table_class, table))
        if fault is None and (frame.marker == PROGRESSIVE or table not in _STANDARD_TABLES):
            fault = "is not defined"
        if fault:
            raise damaged(f"Huffman table {table_class}/{table} {fault}")
