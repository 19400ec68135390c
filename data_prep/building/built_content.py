"""What a build has come to, drawn once from its plan and its shards' reports, and the files that tell of it."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_prep.building import build_folder
from data_prep.building.build_plan import BuildOptions, BuildPlan, count_captions
from data_prep.building.shard_plan import PlannedImage, ShardReport
from data_prep.building.skips import Skip, count_reasons, write_skips
from im2txt import __version__
from im2txt.shards import references
from im2txt.shards.manifest import Manifest, ShardEntry, SplitEntry
from im2txt.system import storage
from im2txt.text import vocabulary

_SHOWN_PAIRS = 5


@dataclasses.dataclass(frozen=True)
class BuiltContent:
    """What is in the shards and what is not.

    Attributes:
        images: photographs in the shards, by split.
        reports: of the shards in their order, by split.
        skips: what planning left out, then each photograph that the shards left out, once, in order of id.
        lost_captions: captions of train photographs that only the shards left out.
        warnings: what the source has to say, and photographs that stand in two splits.
    """

    images: Mapping[str, Sequence[PlannedImage]]
    reports: Mapping[str, Sequence[ShardReport]]
    skips: Sequence[Skip]
    lost_captions: int
    warnings: Sequence[str]

    @classmethod
    def of(cls, plan: BuildPlan, reports: Mapping[str, ShardReport]) -> BuiltContent:
        """Puts a plan and the reports of all its shards, by name, together."""
        found = (skip for report in reports.values() for skip in report.skipped)
        unusable = {skip.image_id: skip for skip in found if skip.image_id is not None}
        by_split: dict[str, list[ShardReport]] = collections.defaultdict(list)
        for shard in plan.shard_plan.slices:
            by_split[shard.split].append(reports[shard.name])
        images: dict[str, list[PlannedImage]] = {split: [] for split in by_split}
        lost_captions = 0
        for image in plan.images:
            if image.image_id not in unusable:
                images[image.split].append(image)
            elif image.split == "train":
                lost_captions += len(image.captions)
        contents = {image_id: content for report in reports.values() for image_id, content in report.contents.items()}
        return cls(
            images=images,
            reports=by_split,
            skips=[*plan.skips, *(unusable[image_id] for image_id in sorted(unusable))],
            lost_captions=lost_captions,
            warnings=[*plan.warnings, *_in_two_splits(images, contents)],
        )


def describe(plan: BuildPlan, content: BuiltContent, options: BuildOptions, source_kind: str) -> Manifest:
    """Returns the manifest. It names no folder of this machine: the same data give the same manifest anywhere.

    Raises:
        RuntimeError: if a photograph could be read for one caption and not for another.
    """
    words_are_counted = options.vocabulary.vocabulary_file is None or options.vocabulary.extend_vocabulary
    return Manifest(
        layout=options.shards.layout,
        tokenizer=options.captions.tokenizer,
        vocabulary_sha256=plan.vocabulary.fingerprint(),
        seed=options.shards.seed,
        splits={split: _split_entry(split, images, content.reports[split]) for split, images in content.images.items()},
        skipped=count_reasons(content.skips),
        options=_without_folders(dataclasses.asdict(options))
        | {"source": {"kind": source_kind}, build_folder.PLAN_OPTION: plan.shard_plan.fingerprint},
        tool_version=__version__,
        warnings=tuple(content.warnings),
        vocabulary_only_captions=content.lost_captions if words_are_counted else 0,
    )


def write_companions(plan: BuildPlan, content: BuiltContent, output_dir: str) -> None:
    """Writes the raw captions of what is in the shards, the vocabulary, and the list of what was left out."""
    for split, images in content.images.items():
        file_names = {image.image_id: image.file_name for image in images}
        captions = {image.image_id: list(image.captions) for image in images}
        references.write_references(output_dir, split, references.References(file_names, captions))
    storage.write_text(storage.join(output_dir, vocabulary.FILE_NAME), plan.vocabulary.to_text())
    write_skips(output_dir, content.skips)


def _split_entry(split: str, images: Sequence[PlannedImage], reports: Sequence[ShardReport]) -> SplitEntry:
    """Describes a split by what its shards' reports say was written."""
    written = sum(report.num_captions for report in reports)
    wanted = count_captions(images)
    if written != wanted:
        raise RuntimeError(
            f"Split '{split}': the shards hold {written} captions where their photographs have {wanted}: some "
            "photograph could be read for one caption and not for another. Run the same command again."
        )
    return SplitEntry(
        images=len(images),
        captions=written,
        words=sum(report.num_words for report in reports),
        unknown_words=sum(report.num_unknown_words for report in reports),
        captions_per_image=dict(sorted(collections.Counter(len(image.captions) for image in images).items())),
        shards=tuple(ShardEntry(r.name, r.bytes, r.crc32c, r.captions_per_example) for r in reports),
    )


def _in_two_splits(images: Mapping[str, Sequence[PlannedImage]], contents: Mapping[int, str]) -> Iterable[str]:
    """Yields a warning if photographs of one content stand in two splits, under ids and names of their own."""
    first_with: dict[str, tuple[str, str]] = {}
    pairs = []
    for split in images:
        for image in images[split]:
            other_split, other = first_with.setdefault(contents[image.image_id], (split, image.file_name))
            if other_split != split:
                pairs.append(f"{other!r} ({other_split}) = {image.file_name!r} ({split})")
    if pairs:
        yield (
            f"{len(pairs):,} photograph(s) stand in two splits under two names, which makes scores too good: "
            f"{', '.join(pairs[:_SHOWN_PAIRS])}{' ...' if len(pairs) > _SHOWN_PAIRS else ''}."
        )


def _without_folders(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options with the base names of the files among them."""
    plain = {}
    for name, value in options.items():
        if isinstance(value, dict):
            plain[name] = _without_folders(value)
        else:
            plain[name] = os.path.basename(value) if name.endswith("_file") and value is not None else value
    return plain
