"""Writes one shard: the job that every engine runs. Imports no TensorFlow, so that a worker starts at once.

A shard is written whole or not at all, and only then followed by its completion record, by which an interrupted build
knows what it need not write again.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

from data_prep.building.shard_plan import ShardJob, ShardReport
from data_prep.building.skips import Skip
from im2txt.images.image_files import UnusablePhotographError, read_photograph
from im2txt.shards.completion import read_completion, write_completion
from im2txt.shards.records import encode_example
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage


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
        fields["skipped"] = tuple(Skip(**skip) for skip in fields["skipped"])
        report = ShardReport(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return None if report.skipped else report


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
