"""From a source to a finished folder of shards: plan, write what is not there yet, describe, and the manifest last."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from data_prep.building import build_folder
from data_prep.building.build_plan import BuildOptions, BuildPlan, count_captions, plan_build
from data_prep.building.built_content import BuiltContent, describe, write_companions
from data_prep.building.origin import Origin
from data_prep.building.photograph_checks import check_photographs, make_check_jobs
from data_prep.building.shard_plan import PlannedImage, ShardJob, ShardReport
from data_prep.building.shard_writer import read_report, write_shard
from data_prep.building.skips import Skip, TooManySkipsError, check_limit, write_skips
from data_prep.sources.base import Source
from im2txt.engines.engine import Engine
from im2txt.shards import manifest
from im2txt.shards.completion import completion_path
from im2txt.shards.manifest import EncoderEntry
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.folder_lock import folder_lock
from im2txt.system.progress import progress_bar

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

    The folder's bytes depend on source and options alone, not on the engine or on interruptions. A continued build
    writes those shards again that left out a photograph, for it may have been mended, and those whose photographs have
    another size or time of change; a finished folder of other photographs is not touched.

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
        TooManySkipsError: if too much is unusable; `skipped.jsonl` lists it.
        RuntimeError: if the folder is taken, or a worker died.
        OSError: if a shard cannot be written.
    """
    try:
        plan = plan_build(source, options)
    except TooManySkipsError as error:
        with folder_lock(output_dir, "--output_dir"):
            if build_folder.may_list_skips(output_dir):
                raise _listed(error, output_dir) from error
        raise
    return build(plan, Origin.of(source, plan.images), output_dir, options, engine)


def build(
    plan: BuildPlan,
    origin: Origin,
    output_dir: str,
    options: BuildOptions,
    engine: Engine,
    write: Callable[[ShardJob], ShardReport] | None = None,
    encoder: EncoderEntry | None = None,
) -> BuildResult:
    """Writes what is planned; see `prepare`.

    Args:
        plan: what to write.
        origin: of its photographs.
        output_dir: local or remote folder; made if need be.
        options: that the plan was made with.
        engine: what runs the shard jobs.
        write: writes a shard; None writes photographs.
        encoder: of features that stand in the photographs' place.
    """
    with folder_lock(output_dir, "--output_dir"):
        if build_folder.claim(output_dir, plan.shard_plan.fingerprint, origin):
            return BuildResult(ShardFolder.open(output_dir).manifest, len(plan.vocabulary), new_captions=0)
        kept = _finished_shards(plan, output_dir)
        try:
            reports = kept | _write_shards(plan, kept, output_dir, options, engine, write or write_shard)
        finally:
            storage.remove_temporaries(output_dir)
        content = BuiltContent.of(plan, reports)
        # Only now, so that all that is unusable is counted; the sound shards are kept for the next attempt.
        usable = sum(map(len, content.images.values()))
        try:
            check_limit(content.skips, usable, count_captions(plan.images), options.skips.max_skipped_fraction)
        except TooManySkipsError as error:
            raise _listed(error, output_dir) from error
        finished = dataclasses.replace(describe(plan, content, options, origin.kind), encoder=encoder)
        write_companions(plan, content, output_dir)
        origin.write(output_dir)
        manifest.write_manifest(output_dir, finished)
        for name in reports:
            storage.remove(completion_path(output_dir, name))
        build_folder.release(output_dir)
        new_captions = sum(reports[name].num_captions for name in reports.keys() - kept.keys())
        return BuildResult(finished, len(plan.vocabulary), new_captions)


def _listed(error: TooManySkipsError, output_dir: str) -> TooManySkipsError:
    """Writes the list of what was left out, and returns the error with its path."""
    return TooManySkipsError(f"{error} All are listed in {write_skips(output_dir, error.skips)}.", error.skips)


def _finished_shards(plan: BuildPlan, output_dir: str) -> dict[str, ShardReport]:
    """Returns the reports of the shards that an interrupted build of the same plan has left, by name."""
    reports = (
        read_report(output_dir, shard.name, plan.shard_plan.shard_fingerprint(shard))
        for shard in plan.shard_plan.slices
    )
    return {report.name: report for report in reports if report}


def _write_shards(
    plan: BuildPlan,
    kept: dict[str, ShardReport],
    output_dir: str,
    options: BuildOptions,
    engine: Engine,
    write: Callable[[ShardJob], ShardReport],
) -> dict[str, ShardReport]:
    """Writes the shards that are not kept; returns their reports by name."""
    slices = [shard for shard in plan.shard_plan.slices if shard.name not in kept]
    unusable: dict[int, Skip] | None = None
    if options.shards.layout == "pair" and options.photographs.verify == "decode":
        images = {image.image_id: image for shard in slices for image in plan.shard_plan.images(shard)}
        unusable = _check_once(list(images.values()), options, engine)
    reports = {}
    examples = {shard.name: shard.stop - shard.start for shard in plan.shard_plan.slices}
    jobs = (plan.shard_plan.job(shard, output_dir, unusable) for shard in slices)
    with (
        progress_bar(
            "writing",
            total=sum(examples.values()),
            initial=sum(examples[name] for name in kept),
            unit=" photographs" if options.shards.layout == "image" else " captions",
        ) as bar,
        contextlib.closing(engine.run(write, jobs, _ADVICE)) as new_reports,
    ):
        for report in new_reports:
            reports[report.name] = report
            bar.update(examples[report.name])
    return reports


def _check_once(images: list[PlannedImage], options: BuildOptions, engine: Engine) -> dict[int, Skip]:
    """Decodes each photograph once, and not once for each of its captions; returns the unusable ones by id."""
    unusable = {}
    with (
        progress_bar("checking", total=len(images), unit=" photographs") as bar,
        contextlib.closing(
            engine.run(check_photographs, make_check_jobs(images, options.photographs), _ADVICE)
        ) as results,
    ):
        for result in results:
            unusable.update(result.unusable)
            bar.update(result.photographs)
    return unusable
