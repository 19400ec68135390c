"""Writes one shard: the job that every engine runs. Imports no TensorFlow, so that a worker starts at once.

A shard is written whole or not at all, and only then followed by its completion record, by which an interrupted build
knows what it need not write again.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator

import google_crc32c

from data_prep.building.shard_plan import PlannedExample, ShardJob, ShardReport
from data_prep.building.skips import Skip
from im2txt.images.image_files import UnusablePhotographError, read_photograph
from im2txt.shards.completion import read_completion, write_completion
from im2txt.shards.records import encode_example
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage

Encode = Callable[[PlannedExample], tuple[bytes, str]]
"""Gives an example's record, and size and checksum of what it holds of the photograph."""


def write_shard(job: ShardJob, encode: Encode | None = None) -> ShardReport:
    """Writes a shard and its completion record; photographs that cannot be used are left out and reported.

    Args:
        job: what to write.
        encode: makes the records; None reads the photographs.

    Raises:
        OSError: if the shard cannot be written; nothing of it is left then.
    """
    skipped = {skip.image_id: skip for skip in job.unusable}
    counts = _Counts()
    records = _records(job, encode or _photograph_encoder(job), skipped, counts)
    size, checksum = write_records(storage.join(job.output_dir, job.name), records)
    report = ShardReport(
        name=job.name,
        fingerprint=job.fingerprint,
        bytes=size,
        crc32c=f"{checksum:08x}",
        captions_per_example=dict(sorted(counts.captions_per_example.items())),
        num_words=counts.num_words,
        num_unknown_words=counts.num_unknown_words,
        contents=counts.contents,
        skipped=tuple(skipped.values()),
    )
    write_completion(job.output_dir, dataclasses.asdict(report))
    return report


def read_report(output_dir: str, name: str, fingerprint: str) -> ShardReport | None:
    """Returns the report of a shard that need not be written again, or None.

    Besides those that `read_completion` knows, a shard that left out photographs does not count: they may have been
    mended since.
    """
    fields = read_completion(output_dir, name, fingerprint)
    if fields is None:
        return None
    try:
        fields["captions_per_example"] = {int(n): count for n, count in fields["captions_per_example"].items()}
        fields["contents"] = {int(image_id): content for image_id, content in fields["contents"].items()}
        fields["skipped"] = tuple(Skip(**skip) for skip in fields["skipped"])
        report = ShardReport(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return None if report.skipped else report


@dataclasses.dataclass
class _Counts:
    captions_per_example: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    num_words: int = 0
    num_unknown_words: int = 0
    contents: dict[int, str] = dataclasses.field(default_factory=dict)


def _photograph_encoder(job: ShardJob) -> Encode:
    def encode(example: PlannedExample) -> tuple[bytes, str]:
        image = read_photograph(example.path, job.photographs)
        record = encode_example(example.image_id, image, example.captions, example.caption_ids, job.layout)
        # A hundred times faster than reading; two photographs of one size and checksum are taken to be one.
        return record, f"{len(image)} {google_crc32c.value(image):08x}"

    return encode


def _records(job: ShardJob, encode: Encode, skipped: dict[int | None, Skip], counts: _Counts) -> Iterator[bytes]:
    for example in job.examples:
        if example.image_id in skipped:
            continue
        try:
            record, content = encode(example)
        except UnusablePhotographError as error:
            skipped[example.image_id] = Skip(example.image_id, example.file_name, error.reason, error.detail)
            continue
        counts.contents[example.image_id] = content
        counts.captions_per_example[len(example.captions)] += 1
        counts.num_words += sum(len(ids) - 1 for ids in example.caption_ids)
        counts.num_unknown_words += sum(ids.count(job.unknown_id) for ids in example.caption_ids)
        yield record
