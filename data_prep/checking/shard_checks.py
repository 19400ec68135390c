"""What must hold within one shard, and what a folder's check needs to know of it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from im2txt.shards.manifest import EncoderEntry
from im2txt.shards.records import Layout
from im2txt.shards.shard_names import parse_shard_name
from im2txt.shards.shard_reader import Example, take_apart
from im2txt.shards.tfrecords import read_records
from im2txt.text.vocabulary import END_WORD, START_WORD, Vocabulary

LOST_BYTES = (
    "Copy the shard again from where the folder came from; or delete it and give the command that made the folder once "
    "more, with the same flags: the same shards come out."
)
WRONG_VOCABULARY = (
    "The shard and word_counts.txt are of different builds. Put back the word_counts.txt that was written with the "
    "shards, or build the folder again."
)
WRONG_CONTENT = "The shard was written by another tool or for another layout. Build the folder again."
BAD_PHOTOGRAPH = (
    "Training would stop here. Build the folder again with --verify=decode, which leaves such photographs out."
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that must not be: in which file or split, what, and what to do about it."""

    where: str
    problem: str
    advice: str


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the records of a folder must be like.

    Attributes:
        layout: of the captions.
        vocabulary: None leaves the ids unchecked, when the vocabulary itself is at fault.
        encoder: of feature shards, None for image shards.
        decode_images: whether every photograph is decoded, which takes most of the time.
    """

    layout: Layout
    vocabulary: Vocabulary | None
    encoder: EncoderEntry | None = None
    decode_images: bool = False


@dataclasses.dataclass(frozen=True)
class ShardContent:
    """What was found in a shard.

    Attributes:
        image_ids: int64 [examples].
        content_hashes: uint64 [examples], of the photographs' bytes; of their ids in feature shards.
        captions: int64 [examples], captions of each example.
        words: predicted words, `</S>` included, `<S>` not.
        unknown_words: how many of them are `<UNK>`.
        word_counts: int64 [vocabulary's size], how often each id stands in the captions, `<S>` included; of size 0 if
            the vocabulary is not known. Ids that it does not have are faults and not counted.
        faults: at most one of each kind.
        is_readable: False if not every record could be read, so that the numbers above are too small.
    """

    image_ids: np.ndarray
    content_hashes: np.ndarray
    captions: np.ndarray
    words: int
    unknown_words: int
    word_counts: np.ndarray
    faults: tuple[Fault, ...]
    is_readable: bool


def check_shard(
    name: str, content: bytes, rules: Rules, visit: Callable[[Example], None] = lambda example: None
) -> ShardContent:
    """Reads every record of a shard and checks it.

    Args:
        name: the shard's name, for faults.
        content: the whole file.
        rules: what must hold.
        visit: called with every record that can be read.

    Returns:
        What the shard holds. Faults of one kind are one fault: the first, and how many follow.
    """
    image_ids: list[int] = []
    hashes: list[int] = []
    captions: list[int] = []
    words = 0
    word_counts = np.zeros(len(rules.vocabulary) if rules.vocabulary else 0, np.int64)
    problems = _Problems(name)
    is_readable = True
    records = read_records(content)
    shard_name = parse_shard_name(name)
    split = shard_name.split if shard_name else ""
    for number in itertools.count():
        where = f"record {number}"
        try:
            record = next(records, None)
        except ValueError as error:
            problems.add(f"is damaged: {error}.", "", LOST_BYTES)
            is_readable = False
            break
        if record is None:
            break
        try:
            example = take_apart(record, rules.layout)
        except ValueError as error:
            problems.add("holds a record that cannot be used", f"{where}: {error}", WRONG_CONTENT)
            is_readable = False
            continue
        where += f", image {example.image_id}"
        image_ids.append(example.image_id)
        visit(example)
        hashes.append(_content_hash(example))
        captions.append(len(example.captions))
        words += sum(len(ids) - 1 for ids in example.caption_ids)
        ids = np.fromiter(itertools.chain.from_iterable(example.caption_ids), np.int64)
        word_counts += np.bincount(ids[(ids >= 0) & (ids < len(word_counts))], minlength=len(word_counts))
        for kind, detail, advice in (*_caption_problems(example, rules), *_image_problems(example, rules, split)):
            problems.add(kind, f"{where}{detail}", advice)
    return ShardContent(
        np.array(image_ids, np.int64),
        np.array(hashes, np.uint64),
        np.array(captions, np.int64),
        words,
        int(word_counts[rules.vocabulary.unknown_id]) if rules.vocabulary else 0,
        word_counts,
        problems.faults(),
        is_readable,
    )


class _Problems:
    """Collects problems, one entry per kind."""

    def __init__(self, shard: str):
        self._shard = shard
        self._found: dict[str, tuple[str, str, int]] = {}

    def add(self, kind: str, detail: str, advice: str) -> None:
        first, advice, count = self._found.get(kind, (detail, advice, 0))
        self._found[kind] = first, advice, count + 1

    def faults(self) -> tuple[Fault, ...]:
        faults = []
        for kind, (detail, advice, count) in self._found.items():
            problem = f"{kind}: {detail}" if detail else kind
            faults.append(Fault(self._shard, problem + (f" (and {count - 1} more)" if count > 1 else ""), advice))
        return tuple(faults)


def _caption_problems(example: Example, rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Yields (kind, detail, advice)."""
    if not example.captions or len(example.captions) != len(example.caption_ids):
        detail = f" has {len(example.captions)} captions as words, {len(example.caption_ids)} as ids"
        yield "holds an image whose captions are not paired with ids", detail, WRONG_CONTENT
        return
    for number, (words, ids) in enumerate(zip(example.captions, example.caption_ids, strict=True)):
        where = f", caption {number}"
        if len(words) != len(ids):
            detail = f"{where} has {len(words)} words and {len(ids)} ids"
            yield "holds a caption whose words and ids differ in number", detail, WRONG_CONTENT
            continue
        if len(words) < 2 or words[0] != START_WORD or words[-1] != END_WORD:
            detail = f"{where} is {_excerpt(words)}"
            yield f"holds a caption that does not run from {START_WORD} to {END_WORD}", detail, WRONG_CONTENT
        elif START_WORD in words[1:-1] or END_WORD in words[1:-1]:
            detail = f"{where} is {_excerpt(words)}"
            yield f"holds a caption with {START_WORD} or {END_WORD} inside", detail, WRONG_CONTENT
        if rules.vocabulary:
            yield from _id_problems(where, words, ids, rules.vocabulary)


def _id_problems(
    where: str, words: Sequence[str], ids: Sequence[int], vocabulary: Vocabulary
) -> Iterator[tuple[str, str, str]]:
    expected = [vocabulary.word_to_id(word) for word in words]
    if expected == ids:
        return
    position = next(i for i, pair in enumerate(zip(expected, ids, strict=True)) if pair[0] != pair[1])
    word_id = ids[position]
    if not 0 <= word_id < len(vocabulary):
        detail = f"{where}, word {position} has id {word_id}; ids are below {len(vocabulary)}"
        yield "holds a word id that the vocabulary does not have", detail, WRONG_VOCABULARY
    else:
        detail = f"{where}, word {position} is {words[position]!r} with id {word_id}, which is the id of"
        detail += f" {vocabulary.id_to_word(word_id)!r} (expected {expected[position]})"
        yield "holds a word whose id is another word's", detail, WRONG_VOCABULARY


def _image_problems(example: Example, rules: Rules, split: str) -> Iterator[tuple[str, str, str]]:
    if rules.encoder is not None:
        shape, dtype = rules.encoder.feature_shape, rules.encoder.feature_dtype
        size = rules.encoder.numbers_per_example(split)
        if example.features is None:
            yield "holds an image without features", "", WRONG_CONTENT
        elif example.features.size != size:
            views = f" of {rules.encoder.views_of(split)} views" if rules.encoder.views_of(split) > 1 else ""
            detail = f" has {example.features.size} numbers, the shape {shape}{views} needs {size}"
            yield "holds features of another shape", detail, WRONG_CONTENT
        elif example.features.dtype != dtype:
            yield "holds features of another type", f" has {example.features.dtype}, not {dtype}", WRONG_CONTENT
        elif not np.isfinite(example.features).all():
            yield "holds features that are infinite or not a number", "", "Make the features again."
    elif example.encoded_image is None:
        yield "holds an image without its photograph", "", WRONG_CONTENT
    elif rules.decode_images:
        error = _decoding_error(example.encoded_image)
        if error:
            yield "holds a photograph that does not decode", f": {error}", BAD_PHOTOGRAPH


def _decoding_error(encoded_image: bytes) -> str:
    """Returns TensorFlow's first line about a photograph it cannot decode, or an empty text."""
    import tensorflow as tf  # Deferred: flags are checked before it loads.

    from im2txt.images import preprocessing

    try:
        preprocessing.decode_image(encoded_image)
    except tf.errors.InvalidArgumentError as error:
        return error.message.splitlines()[0]
    return ""


def _content_hash(example: Example) -> int:
    """64 bits: among ten million photographs, one pair in a million such folders would agree by chance.

    Features of one photograph may differ in the last bit from batch to batch; there the id stands for the content.
    """
    content = example.encoded_image if example.encoded_image is not None else str(example.image_id).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def _excerpt(words: Sequence[str]) -> str:
    text = " ".join(words)
    return repr(text if len(text) <= 60 else f"{text[:30]} ... {text[-25:]}")
