"""All that is decided before the first photograph is opened: splits, words, vocabulary, and the plan of the shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from data_prep.building import splits
from data_prep.building.photograph_files import find_photographs
from data_prep.building.planned_captions import CaptionOptions, plan_images
from data_prep.building.shard_plan import PlannedImage, ShardOptions, ShardPlan
from data_prep.building.shard_sizes import choose_shard_counts, expected_bytes
from data_prep.building.skips import Skip, SkipOptions, check_limit
from data_prep.building.splits import SplitOptions
from data_prep.building.vocabulary_builder import VocabularyOptions, make_vocabulary
from data_prep.sources.base import CaptionedImage, Found, LeftOut, Source, SourceWarning
from im2txt.images.image_files import PhotographOptions
from im2txt.system.progress import progress_bar
from im2txt.system.storage import FileState
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
        shard_plan: where each example goes.
        skips: captions and photographs left out so far.
        warnings: what the source has to say, one sentence each.
        expected_bytes: estimated size of each split's shards.
    """

    images: Sequence[PlannedImage]
    vocabulary: Vocabulary
    shard_plan: ShardPlan
    skips: Sequence[Skip]
    warnings: Sequence[str]
    expected_bytes: dict[str, int]


def plan_build(
    source: Source,
    options: BuildOptions,
    find: Callable[[Iterable[str]], Mapping[str, FileState]] = find_photographs,
) -> BuildPlan:
    """Reads the source, sees which photographs are there, and plans the build. Writes nothing and opens no photograph.

    Args:
        source: the photographs and captions.
        options: what to build.
        find: gives those of the photographs' paths that are there.

    Raises:
        ValueError: if source or options make no sense.
        FileNotFoundError: if one of the source's files is missing.
        TooManySkipsError: if too many photographs are missing, or too many captions cannot be used.
        OSError: if a folder of photographs may not be listed.
    """
    found = list(progress_bar("reading", source.read(), unit=" photographs", delay=1, leave=False))
    images = _photographs(found)
    left_out = [item for item in found if isinstance(item, LeftOut)]
    skips = [Skip(None, item.file_name, item.reason, item.detail) for item in left_out]
    assigned = zip(images, splits.assign(images, options.splits), strict=True)
    files = find(image.path for image in images)
    bar = progress_bar("captions", assigned, total=len(images), unit=" photographs", delay=1, leave=False)
    planned = list(plan_images(bar, files, options.captions, skips))
    # Before the vocabulary, which would only say that it has no captions.
    check_limit(skips, len(planned), count_captions(planned), options.skips.max_skipped_fraction)
    training = (image for image in planned if image.split == "train")
    vocabulary = make_vocabulary((text for image in training for text in image.tokenized_captions), options.vocabulary)
    sizes = expected_bytes(planned, options.shards.layout)
    counts = choose_shard_counts(planned, sizes, options.shards)
    shard_plan = ShardPlan(planned, vocabulary, options.shards, options.photographs, counts)
    warnings = [item.sentence for item in found if isinstance(item, SourceWarning)]
    return BuildPlan(planned, vocabulary, shard_plan, skips, warnings, sizes)


def count_captions(images: Iterable[PlannedImage]) -> int:
    """Returns the number of the photographs' captions."""
    return sum(len(image.captions) for image in images)


def _photographs(found: Sequence[Found]) -> list[CaptionedImage]:
    """Returns the photographs that a source yielded after checking that there are some and that their ids are sound."""
    images = [item for item in found if isinstance(item, CaptionedImage)]
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
