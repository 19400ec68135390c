"""How large the shards will be, and so how many to make."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence

from data_prep.building.shard_plan import PlannedImage, ShardOptions
from data_prep.sources.split_names import SPLITS
from im2txt.shards.records import Layout

# TFRecord framing, keys and lengths of one example; and of one word beside its letters, its id included.
_EXAMPLE_OVERHEAD, _WORD_OVERHEAD = 150, 8


def expected_bytes(images: Sequence[PlannedImage], layout: Layout) -> dict[str, int]:
    """Estimates each split's bytes in the shards; photographs that will be written anew count with their present size.

    Args:
        images: the photographs, in any order.
        layout: whether a photograph stands in one example or in one for each caption.
    """
    totals: dict[str, int] = collections.defaultdict(int)
    for image in images:
        copies = len(image.captions) if layout == "pair" else 1
        letters_and_words = sum(
            len(caption) + _WORD_OVERHEAD * (caption.count(" ") + 3) for caption in image.tokenized_captions
        )
        totals[image.split] += copies * (image.file.size + _EXAMPLE_OVERHEAD) + letters_and_words
    return dict(totals)


def choose_shard_counts(images: Sequence[PlannedImage], sizes: dict[str, int], options: ShardOptions) -> dict[str, int]:
    """Returns each split's number of shards: the given one, or as many as make shards of the wanted size.

    Args:
        images: the photographs, in any order.
        sizes: `expected_bytes`.
        options: given numbers, layout and wanted size.
    """
    examples: collections.Counter[str] = collections.Counter()
    for image in images:
        examples[image.split] += len(image.captions) if options.layout == "pair" else 1
    given = options.counts()
    return {
        split: given.get(split) or min(count, max(1, math.ceil(sizes[split] / (options.shard_megabytes * 1_000_000))))
        for split, count in sorted(examples.items(), key=lambda item: SPLITS.index(item[0]))
    }
