"""From a source to a finished folder of shards: plan, write what is not there yet, describe, and the manifest last."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from data_prep.building import build_folder
from data_prep.building.build_plan import BuildOptions, BuildPlan, plan_build
from data_prep.building.shard_plan import PlannedImage, ShardReport
from data_prep.building.shard_writer import read_report, write_shard
from data_prep.building.skips import Skip, TooManySkipsError, count_reasons, write_skips
from data_prep.sources.base import Source
from im2txt import __version__
from im2txt.engines.engine import Engine
from im2txt.shards import manifest, references
from im2txt.shards.completion import completion_path
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.folder_lock import folder_lock
from im2txt.system.progress import progress_bar
from im2txt.text import vocabulary

_ADVICE = "Run the same command again: finished shards are kept."


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """What a build came to.

    Attributes:
        manifest: the folder's.
        vocab_size: words with an id, `<UNK>` included.
        new_captions: how many of the captions were written this time.
    """

    manifest: manifest.Manifest
    vocab_size: int
    new_captions: int


def prepare(source: Source, output_dir: str, options: BuildOptions, engine: Engine) -> BuildResult:
    """Builds a folder of shards, goes on with an interrupted one, or finds it already built.

    The folder's bytes depend on source and options alone, not on the engine or on interruptions. Photographs are taken
    to stay as they are between an interrupted build and its continuation; shards that left out a photograph are
    written again, for it may have been mended.

    Args:
        source: the photographs and captions.
        output_dir: local or remote folder; made if need be.
        options: what to build.
        engine: what runs the shard jobs.

    Returns:
        The manifest, and how much of it was written this time.

    Raises:
        ValueError: if source or options make no sense.
        FileNotFoundError: if one of the source's files is missing.
        RuntimeError: if too much is unusable, the folder is taken, or a worker died.
        OSError: if a shard cannot be written.
    """
    return build(plan_build(source, options), source, output_dir, options, engine)


def build(plan: BuildPlan, source: Source, output_dir: str, options: BuildOptions, engine: Engine) -> BuildResult:
    """Carries out a plan made of the same source and options; see `prepare`."""
    with folder_lock(output_dir, "--output_dir"):
        if build_folder.claim(output_dir, plan.shards.fingerprint):
            return BuildResult(ShardFolder.open(output_dir).manifest, len(plan.vocabulary), new_captions=0)
        kept = _finished_shards(plan, output_dir)
        try:
            reports = _write_shards(plan, kept, output_dir, options, engine)
        finally:
            build_folder.remove_temporaries(output_dir)
        finished = _describe(plan, reports, source, options)
        _write_companions(plan, reports, output_dir)
        manifest.write_manifest(output_dir, finished)
        for name in reports:
            storage.remove(completion_path(output_dir, name))
        build_folder.release(output_dir)
        new_captions = sum(reports[name].captions for name in reports.keys() - kept.keys())
        return BuildResult(finished, len(plan.vocabulary), new_captions)


def _finished_shards(plan: BuildPlan, output_dir: str) -> dict[str, ShardReport]:
    """Returns the reports of the shards that an interrupted build of the same plan has left, by name."""
    reports = (
        read_report(output_dir, shard.name, plan.shards.shard_fingerprint(shard)) for shard in plan.shards.shards
    )
    return {report.name: report for report in reports if report}


def _write_shards(
    plan: BuildPlan, kept: dict[str, ShardReport], output_dir: str, options: BuildOptions, engine: Engine
) -> dict[str, ShardReport]:
    """Writes the shards that are not kept; returns the reports of all by name."""
    reports = dict(kept)
    jobs = (plan.shards.job(shard, output_dir) for shard in plan.shards.shards if shard.name not in kept)
    examples = {shard.name: shard.stop - shard.start for shard in plan.shards.shards}
    with (
        progress_bar(
            "writing",
            total=sum(examples.values()),
            initial=sum(examples[name] for name in kept),
            unit=" photographs" if options.shards.layout == "image" else " captions",
        ) as bar,
        contextlib.closing(engine.run(write_shard, jobs, _ADVICE)) as new_reports,
    ):
        for report in new_reports:
            reports[report.name] = report
            bar.update(examples[report.name])
            if report.skipped:
                _check_limit(plan, reports, output_dir, options.skips.max_skipped_fraction)
    return reports


def _check_limit(plan: BuildPlan, reports: dict[str, ShardReport], output_dir: str, limit: float) -> None:
    """Ends the build as soon as too many photographs turn out unusable, and leaves a list of them."""
    skips = _all_skips(plan, reports.values())
    try:
        plan.check_limit(skips, limit)
    except TooManySkipsError as error:
        raise TooManySkipsError(f"{error} All so far: {write_skips(output_dir, skips)}.") from error


def _all_skips(plan: BuildPlan, reports: Iterable[ShardReport]) -> list[Skip]:
    """Returns what planning left out, then each photograph that the shards left out, once, in order of id."""
    photographs = {skip.image_id: skip for report in reports for skip in report.skipped}
    return [*plan.skips, *(photographs[image_id] for image_id in sorted(photographs))]


def _written_images(plan: BuildPlan, reports: dict[str, ShardReport]) -> dict[str, list[PlannedImage]]:
    """Returns the photographs that are in the shards, by split."""
    unusable = {skip.image_id for report in reports.values() for skip in report.skipped}
    images: dict[str, list[PlannedImage]] = {shard.split: [] for shard in plan.shards.shards}
    for image in plan.images:
        if image.image_id not in unusable:
            images[image.split].append(image)
    return images


def _write_companions(plan: BuildPlan, reports: dict[str, ShardReport], output_dir: str) -> None:
    """Writes the raw captions of what is in the shards, the vocabulary, and the list of what was left out."""
    for split, images in _written_images(plan, reports).items():
        file_names = {image.image_id: image.file_name for image in images}
        captions = {image.image_id: list(image.captions) for image in images}
        references.write_references(output_dir, split, references.References(file_names, captions))
    storage.write_text(storage.join(output_dir, vocabulary.FILE_NAME), plan.vocabulary.to_text())
    write_skips(output_dir, _all_skips(plan, reports.values()))


def _describe(
    plan: BuildPlan, reports: dict[str, ShardReport], source: Source, options: BuildOptions
) -> manifest.Manifest:
    described: dict[str, Any] = {"kind": type(source).__name__}
    if dataclasses.is_dataclass(source):
        described |= dataclasses.asdict(source)
    return manifest.Manifest(
        layout=options.shards.layout,
        tokenizer=options.captions.tokenizer,
        vocabulary_sha256=plan.vocabulary.fingerprint(),
        seed=options.shards.seed,
        splits={
            split: _split_entry(split, images, [reports[s.name] for s in plan.shards.shards if s.split == split])
            for split, images in _written_images(plan, reports).items()
        },
        skipped=count_reasons(_all_skips(plan, reports.values())),
        options=dataclasses.asdict(options) | {"source": described, build_folder.PLAN_OPTION: plan.shards.fingerprint},
        tool_version=__version__,
    )


def _split_entry(split: str, images: Sequence[PlannedImage], reports: Sequence[ShardReport]) -> manifest.SplitEntry:
    """Describes a split by what its shards' reports say was written."""
    written = sum(report.captions for report in reports)
    wanted = sum(len(image.words) for image in images)
    if written != wanted:
        raise RuntimeError(
            f"Split '{split}': the shards hold {written} captions where their photographs have {wanted}: some "
            "photograph could be read for one caption and not for another. Run the same command again."
        )
    return manifest.SplitEntry(
        images=len(images),
        captions=written,
        words=sum(report.words for report in reports),
        unknown_words=sum(report.unknown_words for report in reports),
        captions_per_image=dict(sorted(collections.Counter(len(image.words) for image in images).items())),
        shards=tuple(manifest.ShardEntry(r.name, r.bytes, r.crc32c, r.captions_per_example) for r in reports),
    )
