"""Writes one shard: the job that every engine runs. Imports no TensorFlow, so that a worker starts at once.

A shard is a TFRecord file: per record its length (uint64), the masked CRC32C of that, the record, the masked CRC32C of
the record; little endian. It is written under a temporary name, synced, renamed, and only then followed by its
completion record, by which an interrupted build knows what it need not write again.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import struct
from collections.abc import Iterator

import google_crc32c

from data_prep.shard_plan import ShardJob, ShardReport
from data_prep.skips import Skip
from im2txt import storage
from im2txt.image_files import UnusablePhotographError, read_photograph
from im2txt.records import encode_example

COMPLETION_PREFIX = ".done-"
_BUFFERED_BYTES = 1 << 20
_MAX_PARTS = 512  # The kernel takes 1,024 buffers at once.


def write_shard(job: ShardJob) -> ShardReport:
    """Writes a shard and its completion record; photographs that cannot be used are left out and reported.

    Raises:
        OSError: if the shard cannot be written; nothing of it is left then.
    """
    skipped: dict[int, Skip] = {}
    counts = _Counts()
    size, checksum = write_records(storage.join(job.output_dir, job.name), _records(job, skipped, counts))
    report = ShardReport(
        name=job.name,
        fingerprint=job.fingerprint,
        bytes=size,
        crc32c=f"{checksum:08x}",
        captions_per_example=dict(sorted(counts.captions_per_example.items())),
        words=counts.words,
        unknown_words=counts.unknown_words,
        skipped=tuple(skipped.values()),
    )
    storage.write_text(completion_path(job.output_dir, job.name), json.dumps(dataclasses.asdict(report)))
    return report


def completion_path(output_dir: str, name: str) -> str:
    """Returns the path of a shard's completion record, whose name no glob for shards matches."""
    return storage.join(output_dir, COMPLETION_PREFIX + name.replace("-of-", "_"))


def read_completion(output_dir: str, name: str, fingerprint: str) -> ShardReport | None:
    """Returns the report of a shard that need not be written again, or None.

    A shard of another plan or of another size than its record says does not count, nor one that left out photographs:
    they may have been mended since.
    """
    try:
        fields = json.loads(storage.read_text(completion_path(output_dir, name)))
        fields["captions_per_example"] = {int(n): count for n, count in fields["captions_per_example"].items()}
        fields["skipped"] = tuple(Skip(**skip) for skip in fields["skipped"])
        report = ShardReport(**fields)
        intact = storage.size(storage.join(output_dir, name)) == report.bytes
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return report if intact and report.fingerprint == fingerprint and not report.skipped else None


@dataclasses.dataclass
class _Counts:
    captions_per_example: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    words: int = 0
    unknown_words: int = 0


def _records(job: ShardJob, skipped: dict[int, Skip], counts: _Counts) -> Iterator[bytes]:
    for example in job.examples:
        if example.image_id in skipped:
            continue
        try:
            encoded_image = read_photograph(example.path, job.photographs)
        except UnusablePhotographError as error:
            skip = Skip(example.image_id, example.file_name, error.reason, error.detail)
            skipped[example.image_id] = skip
            continue
        counts.captions_per_example[len(example.captions)] += 1
        counts.words += sum(len(ids) - 1 for ids in example.caption_ids)
        counts.unknown_words += sum(ids.count(job.unknown_id) for ids in example.caption_ids)
        yield encode_example(example.image_id, encoded_image, example.captions, example.caption_ids, job.layout)


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
    return length + _masked_crc(length), record, _masked_crc(record)


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _write_all(descriptor: int, parts: list[bytes]) -> None:
    written = os.writev(descriptor, parts)
    if written < sum(map(len, parts)):  # A signal or a nearly full disk cut the call short.
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
