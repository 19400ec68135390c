"""What the captions in a folder of shards are like, and some of its examples drawn at random."""

from __future__ import annotations

import collections
import dataclasses
import random
from collections.abc import Collection

from im2txt.shards.manifest import Manifest, ShardEntry
from im2txt.shards.records import Layout
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import Example, for_each_shard, take_apart
from im2txt.shards.tfrecords import read_records
from im2txt.system import storage
from im2txt.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Sample:
    """One record and where it stands; records of a shard count from 0."""

    shard: str
    record: int
    example: Example


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of all captions in a folder.

    Attributes:
        lengths: captions by their number of words, `<S>` and `</S>` not counted.
        words: how often each word of the vocabulary occurs; no special words.
        unknown_words: how often each word stands for `<UNK>`, by its spelling.
        samples: the drawn examples, in random order.
    """

    lengths: collections.Counter[int]
    words: collections.Counter[str]
    unknown_words: collections.Counter[str]
    samples: list[Sample]


def collect(
    folder: ShardFolder,
    vocabulary: Vocabulary,
    sampled_split: str,
    num_samples: int,
    seed: int,
    num_readers: int,
) -> Statistics:
    """Reads all shards once.

    Args:
        folder: the shards.
        vocabulary: its words.
        sampled_split: the split to draw examples from.
        num_samples: how many; all if the split has fewer.
        seed: of the drawing; the same seed draws the same examples.
        num_readers: shards read at the same time.

    Raises:
        FileNotFoundError: if shards are missing.
        ValueError: if a shard is damaged or the split unknown.
    """
    manifest = folder.manifest
    positions = _draw(manifest, sampled_split, num_samples, seed)
    chosen: dict[str, set[int]] = collections.defaultdict(set)
    for name, record in positions:
        chosen[name].add(record)
    entries: dict[str, tuple[ShardEntry, str]] = {}
    for split, content in manifest.splits.items():
        paths = folder.shard_paths(split)
        entries |= {entry.name: (entry, path) for entry, path in zip(content.shards, paths, strict=True)}
    parts = for_each_shard(
        {name: entry.bytes for name, (entry, _) in entries.items()},
        lambda name: _read(entries[name][1], name, chosen[name], manifest.layout, vocabulary),
        num_readers,
    )
    found = {(sample.shard, sample.record): sample for part in parts.values() for sample in part.samples}
    return Statistics(
        lengths=sum((part.lengths for part in parts.values()), collections.Counter()),
        words=sum((part.words for part in parts.values()), collections.Counter()),
        unknown_words=sum((part.unknown_words for part in parts.values()), collections.Counter()),
        samples=[found[position] for position in positions],
    )


def _draw(manifest: Manifest, split: str, number: int, seed: int) -> list[tuple[str, int]]:
    """Returns (shard, record) pairs."""
    shards = manifest.split(split).shards
    total = manifest.split(split).examples
    positions = []
    for position in random.Random(seed).sample(range(total), min(number, total)):
        for shard in shards:
            if position < shard.examples:
                positions.append((shard.name, position))
                break
            position -= shard.examples
    return positions


def _read(path: str, name: str, chosen: Collection[int], layout: Layout, vocabulary: Vocabulary) -> Statistics:
    lengths: collections.Counter[int] = collections.Counter()
    ids: collections.Counter[int] = collections.Counter()
    unknown: collections.Counter[str] = collections.Counter()
    samples = []
    try:
        for number, record in enumerate(read_records(storage.read_bytes(path, storage.MAX_SHARD_BYTES))):
            example = take_apart(record, layout)
            for words, word_ids in zip(example.captions, example.caption_ids, strict=True):
                lengths[len(word_ids) - 2] += 1
                ids.update(word_ids)
                if vocabulary.unknown_id in word_ids:
                    pairs = zip(words, word_ids, strict=True)
                    unknown.update(word for word, word_id in pairs if word_id == vocabulary.unknown_id)
            if number in chosen:
                samples.append(Sample(name, number, example))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}. Run `python -m data_prep.verify_data`.") from error
    for special in (vocabulary.start_id, vocabulary.end_id, vocabulary.unknown_id):
        del ids[special]
    words_counted = collections.Counter({vocabulary.id_to_word(i): count for i, count in ids.items()})
    return Statistics(lengths, words_counted, unknown, samples)
