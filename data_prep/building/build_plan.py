"""All that is decided before the first photograph is opened: splits, words, vocabulary, and the plan of the shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from data_prep.building import splits
from data_prep.building.planned_captions import CaptionOptions, plan_images
from data_prep.building.shard_plan import PlannedImage, ShardOptions, ShardPlan
from data_prep.building.shard_sizes import choose_shard_counts, expected_bytes
from data_prep.building.skips import Skip, SkipOptions, check_limit
from data_prep.building.splits import SplitOptions
from data_prep.building.vocabulary_builder import VocabularyOptions, make_vocabulary
from data_prep.sources.base import CaptionedImage, Source
from im2txt.images.image_files import PhotographOptions
from im2txt.system.progress import progress_bar
from im2txt.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What decides the content of a folder of shards, besides the source."""

    captions: CaptionOptions = CaptionOptions()
    splits: SplitOptions = SplitOptions()
    vocabulary: VocabularyOptions = VocabularyOptions()
    photographs: PhotographOptions = PhotographOptions()
    shards: ShardOptions = ShardOptions()
    skips: SkipOptions = SkipOptions()


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """A build, ready to run.

    Attributes:
        images: photographs to write, in the source's order.
        vocabulary: of the training captions, or the given one.
        shards: where each example goes.
        skips: captions and photographs left out so far.
        expected_bytes: estimated size of each split's shards.
    """

    images: Sequence[PlannedImage]
    vocabulary: Vocabulary
    shards: ShardPlan
    skips: Sequence[Skip]
    expected_bytes: dict[str, int]

    def check_limit(self, skips: Sequence[Skip], limit: float) -> None:
        """Raises TooManySkipsError if these leave out too much of the plan's photographs or captions."""
        captions = sum(len(image.words) for image in self.images)
        lost_captions = sum(skip.caption is not None for skip in self.skips)
        lost_images = sum(skip.reason == "no_caption" for skip in self.skips)
        check_limit(skips, len(self.images) + lost_images, captions + lost_captions, limit)


def plan_build(source: Source, options: BuildOptions) -> BuildPlan:
    """Reads the source and plans the build. Writes nothing and opens no photograph.

    Raises:
        ValueError: if source or options make no sense.
        FileNotFoundError: if one of the source's files is missing.
        TooManySkipsError: if too many captions cannot be used.
    """
    images = _read(source)
    skips: list[Skip] = []
    assigned = zip(images, splits.assign(images, options.splits), strict=True)
    bar = progress_bar("captions", assigned, total=len(images), unit=" photographs", delay=1, leave=False)
    planned = list(plan_images(bar, options.captions, skips))
    training_captions = (words for image in planned if image.split == "train" for words in image.words)
    vocabulary = make_vocabulary(training_captions, options.vocabulary)
    sizes = expected_bytes(planned, options.shards.layout)
    counts = choose_shard_counts(planned, sizes, options.shards)
    shards = ShardPlan(planned, vocabulary, options.shards, options.photographs, counts)
    plan = BuildPlan(planned, vocabulary, shards, skips, sizes)
    plan.check_limit(skips, options.skips.max_skipped_fraction)
    return plan


def _read(source: Source) -> list[CaptionedImage]:
    images = list(progress_bar("reading", source.read(), unit=" photographs", delay=1, leave=False))
    if not images:
        raise ValueError("The source holds no photographs.")
    names: dict[int, str] = {}
    for image in images:
        if not 0 <= image.image_id < 2**63:
            raise ValueError(f"Photograph {image.file_name!r} has id {image.image_id}; ids are in [0, 2**63).")
        if image.image_id in names:
            both = f"{names[image.image_id]!r} and {image.file_name!r}"
            raise ValueError(f"Two photographs have id {image.image_id}: {both}. Ids must be unique.")
        names[image.image_id] = image.file_name
    return images
