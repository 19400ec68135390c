"""What stands in the segments of a JPEG: the frame's header, the tables, a scan's components. See `jpeg_structure`.

Source: ITU-T T.81, Annex B (markers), C (Huffman tables), G (progressive scans).
"""

from __future__ import annotations

import dataclasses
import functools

from im2txt.images.unusable_photographs import UnusablePhotographError

PROGRESSIVE = 0xC2
# Baseline, extended and progressive Huffman; the other kinds the trainer's decoder refuses.
_DECODABLE_FRAMES = frozenset((0xC0, 0xC1, PROGRESSIVE))
_MAX_SIDE = 65_500
_MAX_COMPONENTS, _MAX_SAMPLING, _MAX_SCAN_BLOCKS = 10, 4, 10
_NUM_TABLES = 4
_MAX_DC_SYMBOL, _MAX_SHIFT = 15, 13


@dataclasses.dataclass(frozen=True)
class Component:
    """What a frame header says of one colour component."""

    identifier: int
    horizontal: int
    vertical: int
    quantisation_table: int


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame header (T.81, B.2.2)."""

    marker: int
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]

    @property
    def decodable(self) -> bool:
        """Whether the trainer's decoder knows this kind of frame."""
        return self.marker in _DECODABLE_FRAMES and self.precision == 8


def read_frame(marker: int, segment: bytes) -> Frame:
    """Reads a frame header; raises UnusablePhotographError if it is none."""
    if len(segment) < 6:
        raise damaged(f"a frame header of {len(segment)} bytes")
    height, width, count = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5]), segment[5]
    if not (height and width and count) or len(segment) != 6 + 3 * count:
        raise damaged(f"a frame header of {width} x {height} pixels, {count} components, {len(segment)} bytes")
    components = tuple(
        Component(segment[i], segment[i + 1] >> 4, segment[i + 1] & 15, segment[i + 2])
        for i in range(6, len(segment), 3)
    )
    return Frame(marker, segment[0], height, width, components)


# Most photographs bear the same few tables.
@functools.lru_cache(maxsize=1024)
def read_quantisation_tables(segment: bytes) -> frozenset[int]:
    """Returns the ids of the tables a segment defines (T.81, B.2.4.1)."""
    position, tables = 0, set()
    while position < len(segment):
        precision, table = divmod(segment[position], 16)
        if table >= _NUM_TABLES:
            raise damaged(f"quantisation table {table}")
        tables.add(table)
        position += 129 if precision else 65
    if position != len(segment):
        raise damaged("quantisation tables cut short")
    return frozenset(tables)


@functools.lru_cache(maxsize=1024)
def read_huffman_tables(segment: bytes) -> dict[tuple[int, int], str]:
    """Returns what is wrong with each table a segment defines (T.81, B.2.4.2), by class and id."""
    position, tables = 0, {}
    while position + 17 <= len(segment):
        table_class, table = divmod(segment[position], 16)
        counts = segment[position + 1 : position + 17]
        num_symbols = sum(counts)
        symbols = segment[position + 17 : position + 17 + num_symbols]
        if table_class > 1 or table >= _NUM_TABLES or num_symbols > 256 or len(symbols) < num_symbols:
            raise damaged(f"a Huffman table {table_class}/{table} of {num_symbols} symbols")
        tables[table_class, table] = _huffman_fault(table_class, counts, symbols)
        position += 17 + num_symbols
    if position != len(segment):
        raise damaged("Huffman tables cut short")
    return tables


def check_frame(frame: Frame) -> None:
    """Raises UnusablePhotographError for sizes and sampling factors that the decoder refuses."""
    if max(frame.width, frame.height) > _MAX_SIDE or len(frame.components) > _MAX_COMPONENTS:
        raise damaged(f"{frame.width} x {frame.height} pixels of {len(frame.components)} components")
    for name in ("horizontal", "vertical"):
        factors = [getattr(component, name) for component in frame.components]
        if not all(1 <= factor <= _MAX_SAMPLING and max(factors) % factor == 0 for factor in factors):
            raise damaged(f"the {name} sampling factors {factors}")


def scan_components(frame: Frame, identifiers: bytes) -> list[Component]:
    """Returns the components that a scan names; raises UnusablePhotographError if the frame has not got them."""
    found: list[Component] = []
    for identifier in identifiers:
        # As the decoder has it: scans name their components in the frame's order.
        candidates = [c for c in frame.components[len(found) :] if c.identifier == identifier and c not in found]
        if not candidates:
            raise damaged(f"a scan of component {identifier}, which the frame lacks or the scan has already")
        found.append(candidates[0])
    if len(found) > 1 and sum(c.horizontal * c.vertical for c in found) > _MAX_SCAN_BLOCKS:
        raise damaged(f"a scan of more than {_MAX_SCAN_BLOCKS} blocks per unit")
    return found


def progressive_classes(num_components: int, first: int, last: int, approximation: int) -> tuple[int, ...]:
    """Returns the classes of Huffman tables a progressive scan needs (T.81, G.1.1.1): 0 for DC, 1 for AC."""
    high, low = divmod(approximation, 16)
    good_band = last == 0 if first == 0 else first <= last < 64 and num_components == 1
    if not good_band or (high and low != high - 1) or low > _MAX_SHIFT:
        raise damaged(f"a progressive scan of coefficients {first} to {last}, bits {high} to {low}")
    if first:
        return (1,)
    return () if high else (0,)


def check_conditioning(segment: bytes) -> None:
    """Checks arithmetic conditioning (T.81, B.2.4.3), which the decoder reads though it has no use for it."""
    pairs = list(zip(segment[::2], segment[1::2], strict=False))
    if len(segment) % 2 or any(table > 31 or (table < 16 and value & 15 > value >> 4) for table, value in pairs):
        raise damaged("broken arithmetic conditioning")


def _huffman_fault(table_class: int, counts: bytes, symbols: bytes) -> str:
    """Returns what is wrong with a Huffman table, which matters only to a scan that uses it, or an empty text."""
    # Kraft's sum of the code lengths; the code of all ones is reserved, so it stays below 1.
    if sum(count << 15 - i for i, count in enumerate(counts)) >= 1 << 16:
        return "has more codes than fit their lengths"
    if table_class == 0 and symbols and max(symbols) > _MAX_DC_SYMBOL:
        return f"has the symbol {max(symbols)}"
    return ""


def damaged(what: str) -> UnusablePhotographError:
    """Returns the error that says what the decoder would stop at."""
    return UnusablePhotographError("damaged", f"JPEG structure: {what}")
