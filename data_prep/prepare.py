"""Everything between a source and a finished folder of shards: read, split, count words, plan, write, describe."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import tqdm

from data_prep import build_folder, splits
from data_prep.engines import Engine
from data_prep.image_files import PhotographOptions
from data_prep.planned_captions import CaptionOptions, plan_images
from data_prep.shard_plan import PlannedImage, ShardOptions, ShardPlan, ShardReport, Skip
from data_prep.shard_sizes import choose_shard_counts, expected_bytes
from data_prep.shard_writer import completion_path, read_completion, write_shard
from data_prep.sources.base import CaptionedImage, Source
from data_prep.splits import SplitOptions
from data_prep.vocabulary_builder import VocabularyOptions, make_vocabulary
from im2txt import __version__, manifest, references, storage, vocabulary

SKIPPED_NAME = "skipped.jsonl"
# Left out on purpose, not for a fault: no part of what `max_skipped_fraction` limits.
_INTENDED = frozenset({"no_split"})


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What decides the content of a folder of shards, besides the source."""

    captions: CaptionOptions = CaptionOptions()
    splits: SplitOptions = SplitOptions()
    vocabulary: VocabularyOptions = VocabularyOptions()
    photographs: PhotographOptions = PhotographOptions()
    shards: ShardOptions = ShardOptions()
    max_skipped_fraction: float = 0.01
    """Part of the photographs, and of the captions, that may be unusable, in [0, 1]; more is an error."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_skipped_fraction <= 1:
            raise ValueError(f"--max_skipped_fraction={self.max_skipped_fraction} must be in [0, 1].")


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """All that is known before the first photograph is opened.

    Attributes:
        images: photographs to write, in the source's order.
        vocabulary: of the training captions, or the given one.
        shards: where each example goes.
        skips: captions and photographs left out so far.
        expected_bytes: estimated size of each split's shards.
    """

    images: Sequence[PlannedImage]
    vocabulary: vocabulary.Vocabulary
    shards: ShardPlan
    skips: Sequence[Skip]
    expected_bytes: dict[str, int]


def prepare(source: Source, output_dir: str, options: BuildOptions, engine: Engine) -> manifest.Manifest:
    """Builds a folder of shards, goes on with an interrupted one, or finds it already built.

    The shards' bytes depend on source and options alone, not on the engine or on interruptions.

    Args:
        source: the photographs and captions.
        output_dir: local or remote folder; made if need be.
        options: what to build.
        engine: what runs the shard jobs.

    Returns:
        The manifest, which is written last.

    Raises:
        ValueError: if source or options make no sense.
        FileNotFoundError: if one of the source's files is missing.
        RuntimeError: if too much is unusable, the folder is taken, or a worker died.
        OSError: if a shard cannot be written.
    """
    return build(plan_build(source, options), source, output_dir, options, engine)


def plan_build(source: Source, options: BuildOptions) -> BuildPlan:
    """Reads the source and plans the build; writes nothing and opens no photograph."""
    images = _read(source)
    skips: list[Skip] = []
    assigned = zip(images, splits.assign(images, options.splits), strict=True)
    progress = tqdm.tqdm(assigned, "captions", total=len(images), unit=" photographs", delay=1, leave=False)
    planned = list(plan_images(progress, options.captions, skips))
    _check_limit(skips, planned, options.max_skipped_fraction, where="")
    training_captions = (words for image in planned if image.split == "train" for words in image.words)
    words = make_vocabulary(training_captions, options.vocabulary)
    sizes = expected_bytes(planned, options.shards.layout)
    counts = choose_shard_counts(planned, sizes, options.shards)
    shards = ShardPlan(planned, words, options.shards, options.photographs, counts)
    return BuildPlan(planned, words, shards, skips, sizes)


def build(plan: BuildPlan, source: Source, output_dir: str, options: BuildOptions, engine: Engine) -> manifest.Manifest:
    """Writes what was planned; see `prepare`."""
    with build_folder.locked(output_dir):
        if build_folder.claim(output_dir, plan.shards.fingerprint):
            return manifest.read_manifest(output_dir)
        try:
            reports = _write_shards(plan, output_dir, options, engine)
        finally:
            build_folder.remove_temporaries(output_dir)
        return _finish(plan, reports, source, output_dir, options)


def _read(source: Source) -> list[CaptionedImage]:
    images = list(tqdm.tqdm(source.read(), "reading", unit=" photographs", delay=1, leave=False))
    names: dict[int, str] = {}
    for image in images:
        if not 0 <= image.image_id < 2**63:
            raise ValueError(f"Photograph {image.file_name!r} has id {image.image_id}; ids are in [0, 2**63).")
        if image.image_id in names:
            raise ValueError(
                f"Two photographs have id {image.image_id}: {names[image.image_id]!r} and {image.file_name!r}. Ids must "
                "be unique."
            )
        names[image.image_id] = image.file_name
    if not images:
        raise ValueError("The source holds no photographs.")
    return images


def _write_shards(plan: BuildPlan, output_dir: str, options: BuildOptions, engine: Engine) -> dict[str, ShardReport]:
    """Writes the shards that are not there yet; returns the reports of all by name."""
    shards = {shard.name: shard for shard in plan.shards.shards}
    finished = {
        name: report
        for name, shard in shards.items()
        if (report := read_completion(output_dir, name, plan.shards.shard_fingerprint(shard)))
    }
    missing = [shard for name, shard in shards.items() if name not in finished]
    jobs = (plan.shards.job(shard, output_dir) for shard in missing)
    total = sum(shard.stop - shard.start for shard in shards.values())
    done = total - sum(shard.stop - shard.start for shard in missing)
    unit = " photographs" if options.shards.layout == "image" else " captions"
    with (
        tqdm.tqdm(desc="writing", total=total, initial=done, unit=unit) as progress,
        contextlib.closing(engine.run(write_shard, jobs)) as reports,
    ):
        for report in reports:
            finished[report.name] = report
            progress.update(shards[report.name].stop - shards[report.name].start)
            skips = [*plan.skips, *_skipped_photographs(finished.values())]
            try:
                hint = f" {storage.join(output_dir, SKIPPED_NAME)} lists them."
                _check_limit(skips, plan.images, options.max_skipped_fraction, hint)
            except RuntimeError:
                _write_skips(output_dir, skips)
                raise
    return finished


def _finish(
    plan: BuildPlan, reports: dict[str, ShardReport], source: Source, output_dir: str, options: BuildOptions
) -> manifest.Manifest:
    """Writes everything but the shards, the manifest last, and clears away what only an unfinished build needs."""
    skips = [*plan.skips, *_skipped_photographs(reports.values())]
    unusable = {skip.image_id for skip in skips if skip.caption is None}
    written = [image for image in plan.images if image.image_id not in unusable]
    entries = {}
    for split in dict.fromkeys(shard.split for shard in plan.shards.shards):
        images = [image for image in written if image.split == split]
        shards = [reports[shard.name] for shard in plan.shards.shards if shard.split == split]
        entries[split] = _split_entry(split, images, shards)
        references.write_references(
            output_dir,
            split,
            references.References(
                file_names={image.image_id: image.file_name for image in images},
                captions={image.image_id: list(image.captions) for image in images},
            ),
        )
    storage.write_text(storage.join(output_dir, vocabulary.FILE_NAME), plan.vocabulary.to_text())
    _write_skips(output_dir, skips)
    finished = manifest.Manifest(
        layout=options.shards.layout,
        tokenizer=options.captions.tokenizer,
        vocabulary_sha256=plan.vocabulary.fingerprint(),
        seed=options.shards.seed,
        splits=entries,
        skipped=dict(sorted(collections.Counter(skip.reason for skip in skips).items())),
        options=_options_entry(plan, source, options),
        tool_version=__version__,
    )
    manifest.write_manifest(output_dir, finished)
    for report in reports.values():
        storage.remove(completion_path(output_dir, report.name))
    storage.remove(storage.join(output_dir, build_folder.PLAN_NAME))
    return finished


def _split_entry(split: str, images: Sequence[PlannedImage], reports: Sequence[ShardReport]) -> manifest.SplitEntry:
    """Describes a split by what its shards' reports say was written."""
    captions = sum(n * examples for report in reports for n, examples in report.captions_per_example.items())
    if captions != sum(len(image.words) for image in images):
        raise RuntimeError(
            f"Split '{split}': the shards hold {captions} captions, but their photographs have "
            f"{sum(len(image.words) for image in images)}: one could be read for some captions and not for others. Run "
            "the same command again."
        )
    per_image = collections.Counter(len(image.words) for image in images)
    return manifest.SplitEntry(
        images=len(images),
        captions=captions,
        words=sum(report.words for report in reports),
        unknown_words=sum(report.unknown_words for report in reports),
        captions_per_image=dict(sorted(per_image.items())),
        shards=tuple(manifest.ShardEntry(r.name, r.bytes, r.crc32c, r.captions_per_example) for r in reports),
    )


def _options_entry(plan: BuildPlan, source: Source, options: BuildOptions) -> dict[str, Any]:
    described = {"kind": type(source).__name__} | dataclasses.asdict(source)  # type: ignore[call-overload]
    return dataclasses.asdict(options) | {"source": described, "plan": plan.shards.fingerprint}


def _skipped_photographs(reports: Iterable[ShardReport]) -> list[Skip]:
    """Returns each photograph that the shards left out once, in order of id."""
    return [skip for _, skip in sorted({skip.image_id: skip for r in reports for skip in r.skipped}.items())]


def _check_limit(skips: Sequence[Skip], images: Sequence[PlannedImage], limit: float, where: str) -> None:
    """Raises RuntimeError if more photographs or captions than the limit were left out for a fault."""
    faults = [skip for skip in skips if skip.reason not in _INTENDED]
    bad_captions = [skip for skip in faults if skip.caption is not None]
    bad_images = [skip for skip in faults if skip.caption is None]
    captions = sum(len(image.words) for image in images) + len(bad_captions)
    for bad, total, noun in (
        (bad_images, len(images) + sum(skip.reason == "no_caption" for skip in bad_images), "photographs"),
        (bad_captions, captions, "captions"),
    ):
        if len(bad) > limit * total:
            reasons = collections.Counter(skip.reason for skip in bad).most_common()
            listed = ", ".join(f"{count} {reason}" for reason, count in reasons)
            raise RuntimeError(
                f"{len(bad)} of {total} {noun} cannot be used ({listed}), more than --max_skipped_fraction={limit}. The "
                f"first: {bad[0].file_name!r}, {bad[0].detail}.{where}"
            )


def _write_skips(output_dir: str, skips: Sequence[Skip]) -> None:
    lines = (json.dumps(dataclasses.asdict(skip), ensure_ascii=False, sort_keys=True) for skip in skips)
    storage.write_text(storage.join(output_dir, SKIPPED_NAME), "".join(f"{line}\n" for line in lines))
