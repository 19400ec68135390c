"""A build in figures, for people."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.building.build_plan import BuildPlan, count_captions
from data_prep.building.prepare import BuildResult
from data_prep.building.skips import count_reasons
from data_prep.sources.split_names import SPLITS


def describe_plan(plan: BuildPlan) -> str:
    """Returns what a build would write."""
    lines = []
    for split in dict.fromkeys(shard.split for shard in plan.shard_plan.slices):
        images = [image for image in plan.images if image.split == split]
        num_words = sum(caption.count(" ") + 2 for image in images for caption in image.tokenized_captions)
        num_shards = sum(shard.split == split for shard in plan.shard_plan.slices)
        size = f"about {plan.expected_bytes[split] / 1e6:,.0f} MB"
        lines.append(
            f"{split}: {len(images):,} photographs, {count_captions(images):,} captions, {num_words:,} words, "
            f"{plan.shard_plan.examples(split):,} examples in {num_shards} shards, {size}"
        )
    lines.append(_vocabulary_line(len(plan.vocabulary)))
    lines.append(_skipped_line(count_reasons(plan.skips)))
    lines += _warning_lines(plan.warnings)
    return "\n".join(lines)


def describe_build(result: BuildResult, output_dir: str, secs: float) -> str:
    """Returns what a folder holds, and how fast that was written which was written this time."""
    lines = []
    for name in sorted(result.manifest.splits, key=SPLITS.index):
        split = result.manifest.splits[name]
        # `</S>` is predicted like a word but is none, and never unknown.
        unknown = split.unknown_words / max(1, split.words - split.captions)
        size = sum(shard.bytes for shard in split.shards)
        lines.append(
            f"{name}: {split.images:,} photographs, {split.captions:,} captions, {unknown:.2%} of the words <UNK>, "
            f"{split.examples:,} examples in {len(split.shards)} shards, {size / 1e6:,.1f} MB"
        )
    lines.append(_vocabulary_line(result.vocab_size))
    lines.append(_skipped_line(result.manifest.skipped))
    lines += _warning_lines(result.manifest.warnings)
    speed = f"{result.new_captions / secs:,.0f} captions/s"
    written = f"{result.new_captions:,} captions written in {secs:.1f} s, {speed}"
    lines.append(f"{output_dir}: {written if result.new_captions else 'already built'}")
    return "\n".join(lines)


def _vocabulary_line(vocab_size: int) -> str:
    return f"vocabulary: {vocab_size:,} words with <UNK>"


def _skipped_line(counts: dict[str, int]) -> str:
    return "left out: " + (", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())) or "nothing")


def _warning_lines(sentences: Sequence[str]) -> list[str]:
    return [f"warning: {sentence}" for sentence in sentences]
