"""TFRecord files, read and written without TensorFlow, every checksum made and checked.

Per record: its length (8 bytes, little-endian), the length's masked CRC32C (4 bytes), the data, and the data's masked
CRC32C.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from im2txt.system import storage

_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_MAX_RECORD_BYTES = (1 << 31) - 1  # Of a protocol buffer.
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
    """Yields the records of a shard that is in memory; see `scan_file`."""
    return scan_file(io.BytesIO(content))


def scan_file(file: BinaryIO, skip: int = 0, max_record_bytes: int = _MAX_RECORD_BYTES) -> Iterator[bytes | Damage]:
    """Yields a shard's records in order, and a `Damage` in place of each that cannot be read.

    A record whose data fails its checksum, or is too large, is passed over; one whose length cannot be trusted, or with
    which the file ends too early, is the last.

    Args:
        file: a TFRecord file that can be sought in.
        skip: records at its beginning to pass over unread; damage among their lengths is yielded all the same.
        max_record_bytes: the most that is read into memory at once.
    """
    size, position, number = file.seek(0, os.SEEK_END), 0, 0
    while position < size:
        where = f"record {number} at byte {position}"
        file.seek(position)
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            yield Damage(f"{where}: the file ends within the record's length")
            return
        length, length_crc = struct.unpack("<QI", header)
        if length_crc != _masked_crc(header[:8]):
            yield Damage(f"{where}: the checksum of the record's length is wrong")
            return
        start = position + _HEADER_BYTES
        position = start + length + _FOOTER_BYTES
        if position > size:
            yield Damage(f"{where}: the file ends after {size - start} of the record's {length + 4} bytes")
            return
        if number >= skip:
            yield _read_data(file, length, max_record_bytes, where)
        number += 1


def _read_data(file: BinaryIO, length: int, max_record_bytes: int, where: str) -> bytes | Damage:
    if length > max_record_bytes:
        return Damage(f"{where}: it has {length:,} bytes, a record at most {max_record_bytes:,}")
    data, footer = file.read(length), file.read(_FOOTER_BYTES)
    is_sound = len(footer) == _FOOTER_BYTES and struct.unpack("<I", footer)[0] == _masked_crc(data)
    return data if is_sound else Damage(f"{where}: the checksum of the record's data is wrong")


def check_framing(path: str, num_records: int) -> None:
    """Walks a local shard from one record's length to the next, without reading the records.

    TensorFlow believes a length whose checksum is right, and a length of petabytes ends the process. An object store
    would have to be asked once per record; of its files nothing is checked here.

    Args:
        path: a shard; one that was walked and has not changed since is not walked again.
        num_records: how many it must hold.

    Raises:
        ValueError: naming the record whose length leads beyond the file, or telling that there are more or fewer.
    """
    if storage.is_remote(path):
        return
    status = os.stat(path)
    if (found := _walk_framing(path, status.st_size, status.st_mtime_ns)) != num_records:
        raise ValueError(f"{path} holds {found} records, its manifest says {num_records}: the shard is another one.")


@functools.lru_cache(maxsize=1 << 17)
def _walk_framing(path: str, size: int, changed: int) -> int:
    del changed  # A part of what a finished walk is known by.
    position, number = 0, 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while position < size:
            header = os.pread(descriptor, _HEADER_BYTES, position)
            length = int.from_bytes(header[:8], "little")
            end = position + _HEADER_BYTES + length + _FOOTER_BYTES
            if end > size or length > _MAX_RECORD_BYTES:
                raise ValueError(
                    f"{path} is damaged: record {number} at byte {position} claims {length} bytes, the file has {size}."
                )
            position, number = end, number + 1
    finally:
        os.close(descriptor)
    return number


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
