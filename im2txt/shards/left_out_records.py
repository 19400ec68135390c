"""Training without the damaged records of a split, where it was asked to go on without them.

Nobody waits for such a scan who did not ask for it: every record is read and every photograph decoded before the first
step. In training a photograph without words then takes the place of each example that is lost, so that an epoch has as
many examples as the manifest says, and what step k sees is still a function of the seed and k.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from im2txt.shards.damaged_records import damaged_records
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import for_each_shard
from im2txt.shards.tfrecords import Damage, scan_records
from im2txt.system import storage

ADVICE = (
    "To train without the damaged records of the training split, give --config.input.max_damaged_records=N, the most "
    "that may be missing."
)
_READERS = 4
_NAMED_IN_ERROR = 20


def leave_out_damage(folder: ShardFolder, split: str, at_most: int) -> ShardFolder:
    """Reads a split, and returns the folder without its damaged records, each of which is named on the console.

    Args:
        folder: the shards.
        split: that is trained on.
        at_most: so many records may be damaged; for 0 nothing is read.

    Raises:
        FileNotFoundError, ValueError: as `ShardFolder.shard_paths`, for what is no matter of single records.
        ValueError: if more records are damaged, or a shard holds no sound one.
    """
    if not at_most:
        return folder
    folder.shard_paths(split)
    entries = {entry.name: entry for entry in folder.manifest.split(split).shards}
    vocab_size = len(folder.read_vocabulary())

    def damage_of(name: str) -> dict[int, str]:
        path, expected = storage.join(folder.path, name), entries[name].examples
        damage = dict(damaged_records(path, folder.manifest, vocab_size))
        found = len(damage) + len(_read_sound(path, frozenset(damage))) if damage else expected
        unread = range(found, expected)  # Records end where one's length cannot be trusted.
        return damage | {number: f"{path}, record {number}: it cannot be found after that one" for number in unread}

    print(f"Looking for damaged records in split {split!r} of {folder.path} ...", flush=True)
    found = for_each_shard({name: entry.bytes for name, entry in entries.items()}, damage_of, _READERS)
    left_out = {name: frozenset(damage) for name, damage in found.items() if damage}
    lost = [what for damage in found.values() for what in damage.values()]
    if len(lost) > at_most:
        named = "; ".join(lost[:_NAMED_IN_ERROR]) + (" ..." if len(lost) > _NAMED_IN_ERROR else "")
        raise ValueError(
            f"{len(lost)} records of split {split!r} are damaged, input.max_damaged_records={at_most} leaves out no "
            f"more than that: {named}. Restore the shards, or give a larger number."
        )
    for name, numbers in left_out.items():
        if len(numbers) == entries[name].examples:
            raise ValueError(f"{storage.join(folder.path, name)} holds no sound record. Restore the shard.")
    if lost:
        print("\n".join([f"Left out: {len(lost)} damaged records of at most {at_most}:", *lost]), flush=True)
    return dataclasses.replace(folder, left_out=left_out)


def sound_records(path: tf.Tensor, folder: ShardFolder) -> tf.data.Dataset:
    """Returns the serialised records of a shard without those that the folder leaves out.

    Only a shard with damage is read here, and at once: where a checksum fails, TensorFlow's reader gives up the rest of
    the file.

    Args:
        path: string [], of a shard of the folder.
        folder: with its `left_out`.
    """
    damaged = tf.constant([storage.join(folder.path, name) for name in folder.left_out])
    is_damaged = tf.reduce_any(damaged == path)[tf.newaxis]
    with_damage = tf.data.Dataset.from_tensor_slices(tf.boolean_mask(path[tf.newaxis], is_damaged))

    def read_sound(path: bytes) -> np.ndarray:
        name = path.decode()
        return np.array(_read_sound(name, folder.left_out[os.path.basename(name)]), object)

    def read(path: tf.Tensor) -> tf.Tensor:
        content = tf.numpy_function(read_sound, [path], tf.string, stateful=False)
        return tf.ensure_shape(content, [None])

    return tf.data.TFRecordDataset(tf.boolean_mask(path[tf.newaxis], ~is_damaged)).concatenate(
        with_damage.map(read).unbatch()
    )


def _read_sound(path: str, damaged: frozenset[int]) -> list[bytes]:
    """Returns a shard's records but those of these numbers; ValueError if another one cannot be read."""
    records = []
    for number, record in enumerate(scan_records(storage.read_bytes(path, storage.MAX_SHARD_BYTES))):
        if number in damaged:
            continue
        if isinstance(record, Damage):
            raise ValueError(f"{path}, {record.what}")
        records.append(record)
    return records
