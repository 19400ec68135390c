"""How large the shards will be, and so how many to make."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence

from data_prep.building.shard_plan import PlannedImage, ShardOptions
from data_prep.sources.split_names import SPLITS
from im2txt.shards.records import Layout
from im2txt.system import storage

_SAMPLE = 1_000
# TFRecord framing, keys and lengths of one example; and of one word beside its letters, its id included.
_EXAMPLE_OVERHEAD, _WORD_OVERHEAD = 150, 8


def expected_bytes(images: Sequence[PlannedImage], layout: Layout) -> dict[str, int]:
    """Estimates each split's bytes in the shards from the size of every n-th image file, a thousand in all.

    Photographs that will be shrunk or written anew count with their present size, missing ones with none.
    """
    sizes = [_size(image.path) for image in images[:: max(1, len(images) // _SAMPLE)]]
    mean = sum(sizes) / max(1, len(sizes))
    totals: dict[str, float] = collections.defaultdict(float)
    for image in images:
        copies = len(image.words) if layout == "pair" else 1
        letters_and_words = sum(len(words) + _WORD_OVERHEAD * (words.count(" ") + 3) for words in image.words)
        totals[image.split] += copies * (mean + _EXAMPLE_OVERHEAD) + letters_and_words
    return {split: round(total) for split, total in totals.items()}


def choose_shard_counts(images: Sequence[PlannedImage], sizes: dict[str, int], options: ShardOptions) -> dict[str, int]:
    """Returns each split's number of shards: the given one, or as many as make shards of the wanted size.

    Args:
        images: the photographs, in any order.
        sizes: `expected_bytes`.
        options: given numbers, layout and wanted size.
    """
    examples: collections.Counter[str] = collections.Counter()
    for image in images:
        examples[image.split] += len(image.words) if options.layout == "pair" else 1
    given = options.counts()
    return {
        split: given.get(split) or min(count, max(1, math.ceil(sizes[split] / (options.shard_megabytes * 1_000_000))))
        for split, count in sorted(examples.items(), key=lambda item: SPLITS.index(item[0]))
    }


def _size(path: str) -> int:
    try:
        return storage.size(path)
    except OSError:
        return 0  # Found and counted when it is read.
