"""What a JPEG's markers and tables say, without its pixels: whether TensorFlow decodes it, at a tenth of the cost.

The trainer's decoder, libjpeg-turbo, puts up with flipped bits and missing data inside a scan, but stops at a broken
structure: a scan whose tables are absent or contradict themselves, parameters that no scan may have, a file that ends
early. All of that stands in the few hundred bytes outside the scans. Garbage between segments it skips, and so do we.

Source: ITU-T T.81, Annex B (markers), C (Huffman tables), G (progressive scans); the verdicts are those of
`tf.io.decode_jpeg`, compared on photographs with their headers and tables mutated.
"""

from __future__ import annotations

import dataclasses
import functools
import re

from im2txt.images.unusable_photographs import UnusablePhotographError

# Baseline, extended and progressive Huffman; the other kinds the trainer's decoder refuses.
_DECODABLE_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_PROGRESSIVE = 0xC2
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
_MAX_SIDE = 65_500
_MAX_COMPONENTS, _MAX_SAMPLING, _MAX_SCAN_COMPONENTS, _MAX_SCAN_BLOCKS = 10, 4, 4, 10
_NUM_TABLES = 4
_STANDARD_TABLES = (0, 1)
"""Huffman tables which the decoder brings along for sequential frames, since Motion JPEG leaves them out."""
_MAX_DC_SYMBOL, _MAX_SHIFT = 15, 13


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


@dataclasses.dataclass(frozen=True)
class _Component:
    identifier: int
    horizontal: int
    vertical: int
    quantisation_table: int


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A frame header (T.81, B.2.2)."""

    marker: int
    precision: int
    height: int
    width: int
    components: tuple[_Component, ...]

    @property
    def decodable(self) -> bool:
        return self.marker in _DECODABLE_FRAMES and self.precision == 8


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
        self._frame: _Frame | None = None
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
                raise _damaged(f"the marker {marker:#04x}, which has no place there")
            segment = self._segment(marker)
            if marker == _APP1:
                if not exif and segment.startswith(b"Exif\0\0"):
                    exif = segment[6:]
            elif marker == _QUANTISATION_TABLES:
                self._quantisation_tables |= _read_quantisation_tables(segment)
            elif marker == _HUFFMAN_TABLES:
                self._huffman_tables |= _read_huffman_tables(segment)
            elif marker in _FRAMES:
                if self._frame is not None:
                    raise _damaged("two frames")
                self._frame = _read_frame(marker, segment)
            elif marker == _START_OF_SCAN:
                self._check_scan(segment)
                self._skip_scan()
            elif marker == _RESTART_INTERVAL:
                if len(segment) != 2:
                    raise _damaged(f"a restart interval of {len(segment)} bytes")
                self._restarts = segment != b"\0\0"
            elif marker == _CONDITIONING:
                _check_conditioning(segment)
        if self._frame is None or not self._num_scans:
            raise _damaged("a JPEG without a picture")
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
            raise _damaged(f"a segment {marker:#04x} of length {length}")
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
            raise _damaged("a scan before the frame")
        self._num_scans += 1
        if not frame.decodable:
            return
        if self._num_scans == 1:
            _check_frame(frame)
        if self._is_single_scan:
            raise _damaged("a second scan after one of all components")
        count = segment[0] if segment else 0
        if not 1 <= count <= _MAX_SCAN_COMPONENTS or len(segment) != 4 + 2 * count:
            raise _damaged(f"a scan header of {count} components in {len(segment)} bytes")
        components = _scan_components(frame, segment[1 : 1 + 2 * count : 2])
        if self._num_scans == 1:
            self._is_single_scan = count == len(frame.components) and frame.marker != _PROGRESSIVE
        for component in components:
            if component.quantisation_table not in self._quantisation_tables:
                raise _damaged(f"no quantisation table {component.quantisation_table}")
        classes: tuple[int, ...] = (0, 1)
        if frame.marker == _PROGRESSIVE:
            classes = _progressive_classes(count, *segment[-3:])
        for tables in segment[2 : 2 + 2 * count : 2]:
            for table_class in classes:
                self._check_huffman_table(frame, table_class, tables & 15 if table_class else tables >> 4)

    def _check_huffman_table(self, frame: _Frame, table_class: int, table: int) -> None:
        fault = self._huffman_tables.get((table_class, table))
        if fault is None and (frame.marker == _PROGRESSIVE or table not in _STANDARD_TABLES):
            fault = "is not defined"
        if fault:
            raise _damaged(f"Huffman table {table_class}/{table} {fault}")


def _read_frame(marker: int, segment: bytes) -> _Frame:
    if len(segment) < 6:
        raise _damaged(f"a frame header of {len(segment)} bytes")
    height, width, count = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5]), segment[5]
    if not (height and width and count) or len(segment) != 6 + 3 * count:
        raise _damaged(f"a frame header of {width} x {height} pixels, {count} components, {len(segment)} bytes")
    components = tuple(
        _Component(segment[i], segment[i + 1] >> 4, segment[i + 1] & 15, segment[i + 2])
        for i in range(6, len(segment), 3)
    )
    return _Frame(marker, segment[0], height, width, components)


# Most photographs bear the same few tables.
@functools.lru_cache(maxsize=1024)
def _read_quantisation_tables(segment: bytes) -> frozenset[int]:
    """Returns the ids of the tables a segment defines (T.81, B.2.4.1)."""
    position, tables = 0, set()
    while position < len(segment):
        precision, table = divmod(segment[position], 16)
        if table >= _NUM_TABLES:
            raise _damaged(f"quantisation table {table}")
        tables.add(table)
        position += 129 if precision else 65
    if position != len(segment):
        raise _damaged("quantisation tables cut short")
    return frozenset(tables)


@functools.lru_cache(maxsize=1024)
def _read_huffman_tables(segment: bytes) -> dict[tuple[int, int], str]:
    """Returns what is wrong with each table a segment defines (T.81, B.2.4.2), by class and id."""
    position, tables = 0, {}
    while position + 17 <= len(segment):
        table_class, table = divmod(segment[position], 16)
        counts = segment[position + 1 : position + 17]
        num_symbols = sum(counts)
        symbols = segment[position + 17 : position + 17 + num_symbols]
        if table_class > 1 or table >= _NUM_TABLES or num_symbols > 256 or len(symbols) < num_symbols:
            raise _damaged(f"a Huffman table {table_class}/{table} of {num_symbols} symbols")
        tables[table_class, table] = _huffman_fault(table_class, counts, symbols)
        position += 17 + num_symbols
    if position != len(segment):
        raise _damaged("Huffman tables cut short")
    return tables


def _check_frame(frame: _Frame) -> None:
    if max(frame.width, frame.height) > _MAX_SIDE or len(frame.components) > _MAX_COMPONENTS:
        raise _damaged(f"{frame.width} x {frame.height} pixels of {len(frame.components)} components")
    for name in ("horizontal", "vertical"):
        factors = [getattr(component, name) for component in frame.components]
        if not all(1 <= factor <= _MAX_SAMPLING and max(factors) % factor == 0 for factor in factors):
            raise _damaged(f"the {name} sampling factors {factors}")


def _scan_components(frame: _Frame, identifiers: bytes) -> list[_Component]:
    found: list[_Component] = []
    for identifier in identifiers:
        # As the decoder has it: scans name their components in the frame's order.
        candidates = [c for c in frame.components[len(found) :] if c.identifier == identifier and c not in found]
        if not candidates:
            raise _damaged(f"a scan of component {identifier}, which the frame lacks or the scan has already")
        found.append(candidates[0])
    if len(found) > 1 and sum(c.horizontal * c.vertical for c in found) > _MAX_SCAN_BLOCKS:
        raise _damaged(f"a scan of more than {_MAX_SCAN_BLOCKS} blocks per unit")
    return found


def _progressive_classes(num_components: int, first: int, last: int, approximation: int) -> tuple[int, ...]:
    """Returns the classes of Huffman tables a progressive scan needs (T.81, G.1.1.1): 0 for DC, 1 for AC."""
    high, low = divmod(approximation, 16)
    good_band = last == 0 if first == 0 else first <= last < 64 and num_components == 1
    if not good_band or (high and low != high - 1) or low > _MAX_SHIFT:
        raise _damaged(f"a progressive scan of coefficients {first} to {last}, bits {high} to {low}")
    if first:
        return (1,)
    return () if high else (0,)


def _check_conditioning(segment: bytes) -> None:
    """Checks arithmetic conditioning (T.81, B.2.4.3), which the decoder reads though it has no use for it."""
    pairs = list(zip(segment[::2], segment[1::2], strict=False))
    if len(segment) % 2 or any(table > 31 or (table < 16 and value & 15 > value >> 4) for table, value in pairs):
        raise _damaged("broken arithmetic conditioning")


def _huffman_fault(table_class: int, counts: bytes, symbols: bytes) -> str:
    """Returns what is wrong with a Huffman table, which matters only to a scan that uses it, or an empty text."""
    # Kraft's sum of the code lengths; the code of all ones is reserved, so it stays below 1.
    if sum(count << 15 - i for i, count in enumerate(counts)) >= 1 << 16:
        return "has more codes than fit their lengths"
    if table_class == 0 and symbols and max(symbols) > _MAX_DC_SYMBOL:
        return f"has the symbol {max(symbols)}"
    return ""


def _damaged(what: str) -> UnusablePhotographError:
    return UnusablePhotographError("damaged", f"JPEG structure: {what}")
