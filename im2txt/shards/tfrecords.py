"""TFRecord files, read and written without TensorFlow, every checksum made and checked.

Per record: its length (8 bytes, little-endian), the length's masked CRC32C (4 bytes), the data, and the data's masked
CRC32C.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Iterator

import google_crc32c

from im2txt.system import storage

_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_BUFFERED_BYTES = 1 << 20
_MAX_PARTS = 512  # The kernel takes 1,024 buffers at once.


def read_records(content: bytes) -> Iterator[bytes]:
    """Yields a shard's records in order.

    Args:
        content: a whole TFRecord file.

    Raises:
        ValueError: naming the record and its byte where a checksum fails or the file ends too early. The records
            before it were yielded.
    """
    for record in scan_records(content):
        if isinstance(record, Damage):
            raise ValueError(record.what)
        yield record


@dataclasses.dataclass(frozen=True)
class Damage:
    """In place of a record that cannot be read: which one, at which byte, and what is wrong."""

    what: str


def scan_records(content: bytes) -> Iterator[bytes | Damage]:
    """Yields a shard's records in order, and a `Damage` in place of each that cannot be read.

    A record whose data fails its checksum is passed over; one whose length cannot be trusted, or with which the file
    ends too early, is the last.
    """
    position, number = 0, 0
    while position < len(content):
        where = f"record {number} at byte {position}"
        header = content[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES:
            yield Damage(f"{where}: the file ends within the record's length")
            return
        length, length_crc = struct.unpack("<QI", header)
        if length_crc != _masked_crc(header[:8]):
            yield Damage(f"{where}: the checksum of the record's length is wrong")
            return
        start = position + _HEADER_BYTES
        end = start + length
        if end + _FOOTER_BYTES > len(content):
            yield Damage(f"{where}: the file ends after {len(content) - start} of the record's {length + 4} bytes")
            return
        data = content[start:end]
        is_sound = struct.unpack_from("<I", content, end)[0] == _masked_crc(data)
        yield data if is_sound else Damage(f"{where}: the checksum of the record's data is wrong")
        position, number = end + _FOOTER_BYTES, number + 1


def write_records(path: str, records: Iterator[bytes]) -> tuple[int, int]:
    """Writes a TFRecord file whole or not at all.

    Args:
        path: local or remote; a remote file is held in memory until it is whole.
        records: serialised examples; what they raise ends the writing, and nothing is left.

    Returns:
        The file's size in bytes and its CRC32C.

    Raises:
        OSError: if it cannot be written.
    """
    if storage.is_remote(path):  # One upload, atomic by itself.
        content = b"".join(part for record in records for part in _frame(record))
        storage.write_bytes(path, content)
        return len(content), google_crc32c.value(content)
    temporary = storage.temporary_path(path)
    size, checksum = 0, 0
    try:
        with open(temporary, "wb", buffering=0) as file:
            for parts in _batches(records):
                for part in parts:
                    size += len(part)
                    checksum = google_crc32c.extend(checksum, part)
                _write_all(file.fileno(), parts)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        storage.remove(temporary)
    return size, checksum


def _batches(records: Iterator[bytes]) -> Iterator[list[bytes]]:
    parts: list[bytes] = []
    size = 0
    for record in records:
        parts += _frame(record)
        size += len(record)
        if size >= _BUFFERED_BYTES or len(parts) >= _MAX_PARTS:
            yield parts
            parts, size = [], 0
    yield parts


def _frame(record: bytes) -> tuple[bytes, bytes, bytes]:
    length = struct.pack("<Q", len(record))
    return length + _crc_field(length), record, _crc_field(record)


def _crc_field(data: bytes) -> bytes:
    return struct.pack("<I", _masked_crc(data))


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _write_all(descriptor: int, parts: list[bytes]) -> None:
    written = os.writev(descriptor, parts)
    if written < sum(map(len, parts)):  # A signal or a nearly full disk cut the call short.
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
