"""Which record it was: TensorFlow says that a record cannot be read or decoded, and not where it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from im2txt.images import preprocessing
from im2txt.shards.manifest import Manifest
from im2txt.shards.shard_names import parse_shard_name
from im2txt.shards.shard_reader import Example, take_apart
from im2txt.shards.tfrecords import Damage, scan_records
from im2txt.system import storage


def find_damage(
    paths: Sequence[str], manifest: Manifest, vocab_size: int, left_out: Mapping[str, frozenset[int]] | None = None
) -> str | None:
    """Reads shards until a record is found that training cannot use.

    Args:
        paths: the shards, read one after the other, each held in memory whole.
        manifest: of their folder.
        vocab_size: word ids must be below it.
        left_out: see `ShardFolder`; these records are passed over.

    Returns:
        The shard, the record's number, the photograph's id and what is wrong; None if all is well.
    """
    for path in paths:
        known = (left_out or {}).get(os.path.basename(path), frozenset())
        for number, damage in damaged_records(path, manifest, vocab_size):
            if number not in known:
                return damage
    return None


def damaged_records(path: str, manifest: Manifest, vocab_size: int) -> Iterator[tuple[int, str]]:
    """Reads a shard whole, decodes its photographs, and yields the records that training cannot use.

    Args:
        path: the shard.
        manifest: of its folder.
        vocab_size: word ids must be below it.

    Yields:
        The record's number from 0, and in words the shard, that number, the photograph's id and what is wrong.
    """
    name = parse_shard_name(os.path.basename(path))
    for number, record in enumerate(scan_records(storage.read_bytes(path, storage.MAX_SHARD_BYTES))):
        where = f"{path}, record {number}"
        if isinstance(record, Damage):
            yield number, f"{path}, {record.what}"
            continue
        try:
            example = take_apart(record, manifest.layout)
        except ValueError as error:
            yield number, f"{where}: {error}"
            continue
        for problem in _problems(example, manifest, name.split if name else "", vocab_size):
            yield number, f"{where}, photograph {example.image_id}: {problem}"
            break


def _problems(example: Example, manifest: Manifest, split: str, vocab_size: int) -> Iterator[str]:
    if manifest.encoder is not None:
        size, dtype = manifest.encoder.numbers_per_example(split), manifest.encoder.feature_dtype
        if example.features is None or example.features.size != size or example.features.dtype != dtype:
            yield f"it does not hold {size} features of {dtype}"
    elif example.encoded_image is None:
        yield "it holds no photograph"
    else:
        try:
            preprocessing.decode_image(tf.constant(example.encoded_image))
        except tf.errors.InvalidArgumentError as error:
            yield f"the photograph does not decode ({error.message.splitlines()[0]})"
    ids = [word_id for caption in example.caption_ids for word_id in caption]
    if not all(0 <= word_id < vocab_size for word_id in ids):
        yield f"a caption has a word id outside 0 to {vocab_size - 1}"
