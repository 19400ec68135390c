"""The plan of a build: which example stands where in which shard. Pure: it depends on its arguments alone.

Examples are ordered by a keyed hash of seed and image id (and caption, in the pair layout) and cut into contiguous
shards. Each shard is an independent job that carries only its own slice, so that any engine may run it anywhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_prep.building import photograph_files
from data_prep.building.skips import Skip
from im2txt.images.image_files import PhotographOptions
from im2txt.shards.records import Layout
from im2txt.shards.shard_names import MAX_SHARDS, shard_name
from im2txt.system.storage import FileState
from im2txt.text.vocabulary import Vocabulary

PLAN_VERSION = 2
"""Raised when the same input comes to give other bytes: a half-finished folder of an older version is not continued."""


@dataclasses.dataclass(frozen=True)
class ShardOptions:
    """How many shards there are, and how examples lie in them."""

    layout: Layout = "image"
    """`image`: one example per photograph with all its captions; `pair`: one per caption, as the original im2txt."""
    train_shards: int | None = None
    """Number of train shards; None takes as many as `shard_megabytes` asks for."""
    val_shards: int | None = None
    """Number of val shards."""
    test_shards: int | None = None
    """Number of test shards."""
    shard_megabytes: int = 64
    """Wanted size of a shard where no number is given."""
    seed: int = 0
    """Of the order of examples over the shards."""

    def __post_init__(self) -> None:
        for split, count in self.counts().items():
            if not 1 <= count <= MAX_SHARDS:
                raise ValueError(f"--{split}_shards={count} must be in [1, {MAX_SHARDS}].")
        if self.shard_megabytes < 1:
            raise ValueError(f"--shard_megabytes={self.shard_megabytes} must be at least 1.")

    def counts(self) -> dict[str, int]:
        """Returns the numbers of shards that are given, by split."""
        given = {"train": self.train_shards, "val": self.val_shards, "test": self.test_shards}
        return {split: count for split, count in given.items() if count is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedImage:
    """A photograph with its usable captions.

    Attributes:
        image_id: unique in the build.
        file_name: relative name.
        path: where it is read from.
        file: its size and age.
        split: where it goes.
        captions: raw captions; at least one.
        tokenized_captions: the same captions as words, joined by one space.
    """

    image_id: int
    file_name: str
    path: str
    file: FileState
    split: str
    captions: tuple[str, ...]
    tokenized_captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedExample:
    """One record to write: captions as words and as ids, `<S>` and `</S>` included."""

    image_id: int
    file_name: str
    path: str
    captions: tuple[tuple[str, ...], ...]
    caption_ids: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """Everything needed to write one shard, anywhere.

    Attributes:
        output_dir: folder of shards, local or remote.
        name: the shard's file name.
        fingerprint: of the plan, the shard, and its photographs' sizes and times; a finished shard with the same one
            need not be written again.
        layout: see `records`.
        photographs: how photographs are checked and stored.
        unknown_id: id of `<UNK>`, for counting.
        examples: in the order of writing.
        unusable: photographs among them that are known to be unusable and not read.
    """

    output_dir: str
    name: str
    fingerprint: str
    layout: Layout
    photographs: PhotographOptions
    unknown_id: int
    examples: tuple[PlannedExample, ...]
    unusable: tuple[Skip, ...] = ()


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What a job wrote.

    Attributes:
        name: the shard's file name.
        fingerprint: the job's.
        bytes: size of the file.
        crc32c: of the whole file, 8 hex digits.
        captions_per_example: how many examples hold how many captions.
        num_words: predicted words: without `<S>`, with `</S>`.
        num_unknown_words: how many of them are `<UNK>`.
        contents: size and checksum of each photograph's bytes in the shard, by image id.
        skipped: photographs that could not be used, each once per shard.
    """

    name: str
    fingerprint: str
    bytes: int
    crc32c: str
    captions_per_example: dict[int, int]
    num_words: int
    num_unknown_words: int
    contents: dict[int, str]
    skipped: tuple[Skip, ...]

    @property
    def num_captions(self) -> int:
        """Number of captions in the shard."""
        return sum(captions * examples for captions, examples in self.captions_per_example.items())


@dataclasses.dataclass(frozen=True, slots=True)
class ShardSlice:
    """A shard of the plan: which part of its split's order it holds."""

    split: str
    name: str
    start: int
    stop: int


class ShardPlan:
    """Where every example goes.

    Attributes:
        slices: every shard of every split, in order.
        fingerprint: SHA-256 (hex) of all that decides the bytes of shards and captions, save the photographs' own.
    """

    def __init__(
        self,
        images: Sequence[PlannedImage],
        vocabulary: Vocabulary,
        options: ShardOptions,
        photographs: PhotographOptions,
        shard_counts: dict[str, int],
    ):
        """Orders and cuts.

        Args:
            images: all photographs; ids must be unique.
            vocabulary: for the captions' ids.
            options: layout and seed.
            photographs: how photographs are checked and stored.
            shard_counts: number of shards of each split that has photographs.

        Raises:
            ValueError: if a split has fewer examples than shards.
        """
        self._images = images
        self._vocabulary = vocabulary
        self._layout = options.layout
        self._photographs = photographs
        self._orders = {split: _order(images, split, options) for split in shard_counts}
        self.slices = [
            shard for split, count in shard_counts.items() for shard in _cut(split, len(self._orders[split]), count)
        ]
        self.fingerprint = self._fingerprint()

    def examples(self, split: str) -> int:
        """Returns the number of examples planned for a split."""
        return len(self._orders[split])

    def images(self, shard: ShardSlice) -> list[PlannedImage]:
        """Returns the photographs of a shard's examples, in their order, once for each example."""
        return [self._images[index] for index, _ in self._orders[shard.split][shard.start : shard.stop]]

    def job(self, shard: ShardSlice, output_dir: str, unusable: Mapping[int, Skip] | None = None) -> ShardJob:
        """Returns the job that writes a shard.

        Args:
            shard: which one.
            output_dir: folder of shards.
            unusable: by id, if all photographs have been decoded before: the job then reads none of these, and decodes
                no other again.
        """
        known = unusable or {}
        photographs = self._photographs
        if unusable is not None:
            photographs = dataclasses.replace(photographs, verify="header")
        return ShardJob(
            output_dir=output_dir,
            name=shard.name,
            fingerprint=self.shard_fingerprint(shard),
            layout=self._layout,
            photographs=photographs,
            unknown_id=self._vocabulary.unknown_id,
            examples=tuple(self._examples(shard)),
            unusable=tuple(known[i] for i in sorted({image.image_id for image in self.images(shard)} & known.keys())),
        )

    def shard_fingerprint(self, shard: ShardSlice) -> str:
        """Returns the fingerprint of a shard's job."""
        photographs = photograph_files.fingerprint((image.path, image.file) for image in self.images(shard))
        return hashlib.sha256(f"{self.fingerprint} {shard.name} {photographs}".encode()).hexdigest()

    def _examples(self, shard: ShardSlice) -> Iterator[PlannedExample]:
        vocabulary = self._vocabulary
        start, end = vocabulary.words[vocabulary.start_id], vocabulary.words[vocabulary.end_id]
        for index, caption in self._orders[shard.split][shard.start : shard.stop]:
            image = self._images[index]
            captions = [tokenized.split(" ") for tokenized in _chosen(image.tokenized_captions, caption)]
            yield PlannedExample(
                image_id=image.image_id,
                file_name=image.file_name,
                path=image.path,
                captions=tuple((start, *words, end) for words in captions),
                caption_ids=tuple(tuple(vocabulary.encode(words)) for words in captions),
            )

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()

        def add(*parts: Any) -> None:
            digest.update(("\x1f".join(map(str, parts)) + "\x1e").encode())

        add(PLAN_VERSION, self._layout, self._photographs, self._vocabulary.fingerprint())
        for shard in self.slices:
            add(shard.name, shard.start, shard.stop)
        for split, order in self._orders.items():
            add(split)
            for index, caption in order:
                image = self._images[index]
                texts = _chosen(image.captions, caption) + _chosen(image.tokenized_captions, caption)
                add(image.image_id, image.file_name, *texts)
        return digest.hexdigest()


def _chosen(captions: tuple[str, ...], number: int | None) -> tuple[str, ...]:
    """Returns the captions of an example: all of the photograph's in the image layout, one in the pair layout."""
    return captions if number is None else captions[number : number + 1]


def _order(images: Sequence[PlannedImage], split: str, options: ShardOptions) -> list[tuple[int, int | None]]:
    """Returns (index of the photograph, number of its caption or None) in a pseudo-random order."""
    examples: list[tuple[bytes, int, int | None]] = []
    for index, image in enumerate(images):
        if image.split != split:
            continue
        captions: Sequence[int | None] = range(len(image.captions)) if options.layout == "pair" else (None,)
        for caption in captions:
            key = f"{options.seed} {image.image_id} {'' if caption is None else caption}"
            examples.append((hashlib.blake2b(key.encode(), digest_size=16).digest(), index, caption))
    examples.sort(key=lambda example: example[0])
    return [(index, caption) for _, index, caption in examples]


def _cut(split: str, examples: int, count: int) -> list[ShardSlice]:
    if examples < count:
        raise ValueError(
            f"Split '{split}' has {examples} examples, fewer than its {count} shards. Lower --{split}_shards."
        )
    bounds = [index * examples // count for index in range(count + 1)]
    return [
        ShardSlice(split, shard_name(split, index, count), bounds[index], bounds[index + 1]) for index in range(count)
    ]
