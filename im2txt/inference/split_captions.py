"""A split captioned and its loss measured, part by part: the job that every engine runs for a run to be scored."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from im2txt.inference.caption_model import Model, load_captioner
from im2txt.shards.data_layout import DataLayout
from im2txt.shards.image_records import ImageRecord, read_image_records
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage

_BATCHES_PER_PART = 8  # Few enough for every worker to have some, and for a bar to move.


@dataclasses.dataclass(frozen=True)
class SplitPart:
    """Consecutive records of one shard.

    Attributes:
        data_dir: folder of shards, of photographs or features.
        split: name of the split.
        shard: index.
        part: which of the shard's parts.
        num_parts: how many of nearly one size the shard has.
        captioned: numbers, in the shard, of the records to caption; None for all. The loss is that of all.
        model: what captions.
    """

    data_dir: str
    split: str
    shard: int
    part: int
    num_parts: int
    captioned: frozenset[int] | None
    model: Model


class PartReport(NamedTuple):
    """What is known of a part.

    Attributes:
        shard: as in the job.
        part: as in the job.
        captions: (image id, captions, best first, as dicts of `Candidate`) in the shard's order.
        total_loss: nats, over all words of the part's captions.
        words: how many.
        step: updates behind the checkpoint.
        checkpoint: its path, relative to the run's folder.
    """

    shard: int
    part: int
    captions: list[tuple[int, list[dict[str, Any]]]]
    total_loss: float
    words: int
    step: int
    checkpoint: str


def plan_parts(folder: ShardFolder, split: str, model: Model) -> list[SplitPart]:
    """Returns a split's parts in order.

    In layout `pair` several records hold one photograph, and only the first of them is captioned.
    """
    size = _BATCHES_PER_PART * model.batch_size
    firsts = _first_records(folder, split) if folder.manifest.layout == "pair" else None
    return [
        SplitPart(folder.path, split, shard, part, num_parts, None if firsts is None else firsts[shard], model)
        for shard, entry in enumerate(folder.manifest.split(split).shards)
        for num_parts in (-(-entry.examples // size),)
        for part in range(num_parts)
    ]


def _first_records(folder: ShardFolder, split: str) -> list[frozenset[int]]:
    seen: set[int | str] = set()
    firsts = []
    for path in folder.shard_paths(split):
        of_shard = set()
        with storage.opened(path) as file:
            for number, record in enumerate(read_image_records(path, file)):
                if record.image_id not in seen:
                    of_shard.add(number)
                    seen.add(record.image_id)
        firsts.append(frozenset(of_shard))
    return firsts


def caption_part(job: SplitPart) -> PartReport:
    """Captions a part's photographs, and measures the loss over its captions.

    Raises:
        ValueError: if a record is damaged or its photograph does not decode, naming it; if the run does not belong to
            the shards.
    """
    captioner = load_captioner(job.model)
    # Deferred: they need TensorFlow, which `load_captioner` has started.
    from im2txt.runs.run_folder import check_vocabulary
    from im2txt.shards.input_pipeline import evaluation_batches

    run, workdir = captioner.runs[0], job.model.workdirs[0]
    folder = ShardFolder.open(job.data_dir)
    check_vocabulary(run.vocabulary, folder.read_vocabulary(), workdir)
    folder = folder.only_shard(job.split, job.shard)
    layout = DataLayout(job.num_parts, job.num_parts, job.part)
    wanted = run.image_format if folder.manifest.encoder is None else None
    with folder.damage_named(job.split):
        total_loss, words = captioner.total_loss(
            evaluation_batches(folder, job.split, wanted, job.model.batch_size, layout)
        )
    captions = []
    for record, result in captioner(_records(job, folder, layout)):
        if result.error:
            raise ValueError(
                f"{folder.manifest.split(job.split).shards[0].name} in {folder.path}, photograph {record.image_id}: "
                f"{result.error}. Run `python -m data_prep.verify_data --data_dir={folder.path} --decode_images`."
            )
        captions.append((int(record.image_id), [candidate.as_dict() for candidate in result.candidates]))
    checkpoint = os.path.relpath(run.checkpoint, workdir)
    return PartReport(job.shard, job.part, captions, total_loss, words, run.step, checkpoint)


def _records(job: SplitPart, folder: ShardFolder, layout: DataLayout) -> Iterator[ImageRecord]:
    (entry,) = folder.manifest.split(job.split).shards
    start, end = layout.share(entry.examples)
    path = storage.join(folder.path, entry.name)
    with storage.opened(path) as file:
        records = itertools.islice(read_image_records(path, file, skip=start), end - start)
        for number, record in enumerate(records, start):
            if job.captioned is None or number in job.captioned:
                yield record
