"""The examples of a split in a row, of which any part can be read, and how workers share each epoch's row.

An example is a photograph with up to `captions_per_image` of its captions; one that has more gives several examples, so
that every caption comes exactly once an epoch.

Several workers take consecutive parts of an epoch's row, and so read different shards, sharing one only where a part
ends within it. The parts differ by one example at most, in turns, so that after any number of epochs every worker has
given its share: each example comes exactly once an epoch, and no worker is ever without.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from im2txt.shards.data_layout import DataLayout
from im2txt.shards.left_out_records import sound_records
from im2txt.shards.manifest import Manifest, ShardEntry
from im2txt.shards.records import parse_example
from im2txt.shards.shard_folder import ShardFolder

NO_WORD = -1
"""Pads captions until the mask exists."""
_INTERLEAVED_SHARDS = 8
_RECORD_BUFFER_BYTES = 1 << 20

Tensors = dict[str, tf.Tensor]


def examples_per_epoch(manifest: Manifest, split: str, captions_per_image: int) -> int:
    """Returns the number of examples in one pass over a split."""
    return sum(_num_examples(shard, captions_per_image) for shard in manifest.split(split).shards)


def check_examples(num_examples: int, num_workers: int, what: str) -> None:
    """Raises ValueError if some worker would have no example; `what` they are of begins the message."""
    if num_examples < num_workers:
        raise ValueError(f"{what} holds {num_examples} examples, too few for {num_workers} worker(s).")


class ExampleSequence:
    """The examples of a split, shard after shard, of which any part can be read.

    Attributes:
        num_shards: of the split.
        num_examples: of all shards together.
    """

    def __init__(self, folder: ShardFolder, split: str, captions_per_image: int):
        """Reads nothing yet; see `ShardFolder.shard_paths` for what is checked."""
        encoder = folder.manifest.encoder
        self._num_views = encoder.views_of(split) if encoder else 1
        self._folder, self._captions_per_image = folder, captions_per_image
        self._paths = folder.shard_paths(split)
        shards = folder.manifest.split(split).shards
        self._sizes = [_num_examples(shard, captions_per_image) for shard in shards]
        self._one_group = all(max(shard.captions_per_example, default=1) <= captions_per_image for shard in shards)
        self.num_shards, self.num_examples = len(self._paths), sum(self._sizes)

    def examples(
        self, order: tf.Tensor, start: tf.Tensor | int, end: tf.Tensor | int, views_seed: tf.Tensor | None = None
    ) -> tf.data.Dataset:
        """Returns examples [start, end) of the sequence that has the shards in this order (int32), interleaved.

        Of several views of a photograph, `views_seed` (int64 [2]) and the photograph's id draw one; None takes the
        plain one.
        """
        paths, sizes = tf.gather(tf.constant(self._paths), order), tf.gather(tf.constant(self._sizes, tf.int64), order)
        first = tf.cumsum(sizes, exclusive=True)  # [shards], where in the sequence each shard begins
        skipped, until = (tf.clip_by_value(edge - first, 0, sizes) for edge in (start, end))
        read = tf.where(until > skipped)[:, 0]
        parts = tuple(tf.gather(values, read) for values in (paths, skipped, until - skipped))
        return tf.data.Dataset.from_tensor_slices(parts).interleave(
            lambda path, skipped, count: self._examples_of_shard(path, views_seed).skip(skipped).take(count),
            cycle_length=_INTERLEAVED_SHARDS,
            num_parallel_calls=_INTERLEAVED_SHARDS,
            deterministic=True,
        )

    def _examples_of_shard(self, path: tf.Tensor, views_seed: tf.Tensor | None) -> tf.data.Dataset:
        """Returns examples: `image_id`, `encoded_image` or `features`, `caption_ids` int32 [captions_per_image, T].

        Features keep the type they are stored in: many examples wait between here and their batch.
        """
        manifest = self._folder.manifest
        encoder, num_views = manifest.encoder, self._num_views
        of_features = ((num_views, *encoder.feature_shape), encoder.feature_dtype) if encoder else ()

        def parse(serialized: tf.Tensor) -> Tensors:
            example = parse_example(serialized, manifest.layout, *of_features)
            if encoder is not None:
                view = tf.constant(0)
                if num_views > 1 and views_seed is not None:
                    view_seed = tf.random.fold_in(views_seed, example["image_id"])
                    view = tf.random.stateless_uniform([], view_seed, maxval=num_views, dtype=tf.int32)
                example["features"] = example["features"][view]
            return example | {"caption_ids": self._in_groups(example["caption_ids"])}

        def in_groups(examples: tf.data.Dataset) -> tf.data.Dataset:
            if self._one_group:
                return examples.map(lambda example: example | {"caption_ids": example["caption_ids"][0]})
            return examples.flat_map(each_group).map(lambda example, group: example | {"caption_ids": group})

        def each_group(example: Tensors) -> tf.data.Dataset:
            # No function is mapped in here: it would be set up anew for each record, at more than its reading costs.
            record = tf.data.Dataset.from_tensors(example).repeat()
            return tf.data.Dataset.zip(record, tf.data.Dataset.from_tensor_slices(example["caption_ids"]))

        if not self._folder.left_out:
            return in_groups(tf.data.TFRecordDataset(path, buffer_size=_RECORD_BUFFER_BYTES).map(parse))
        examples = in_groups(sound_records(path, self._folder).map(parse))
        return examples.concatenate(examples.take(1).flat_map(_without_words))

    def _in_groups(self, caption_ids: tf.RaggedTensor) -> tf.Tensor:
        """int64 [captions, words] -> int32 [groups, captions_per_image, T], padded with -1."""
        captions = tf.cast(caption_ids, tf.int32).to_tensor(NO_WORD)
        num_groups = -(-tf.shape(captions)[0] // self._captions_per_image)
        missing = num_groups * self._captions_per_image - tf.shape(captions)[0]
        captions = tf.pad(captions, [[0, missing], [0, 0]], constant_values=NO_WORD)
        return tf.reshape(captions, [num_groups, self._captions_per_image, tf.shape(captions)[1]])


def _without_words(example: Tensors) -> tf.data.Dataset:
    """Returns the example without end, no word in its captions: it takes the place of those that were left out."""
    no_words = tf.zeros_like(example["caption_ids"]) + NO_WORD
    return tf.data.Dataset.from_tensors(example | {"caption_ids": no_words}).repeat()


def _num_examples(shard: ShardEntry, captions_per_image: int) -> int:
    return sum(
        examples * math.ceil(captions / captions_per_image) for captions, examples in shard.captions_per_example.items()
    )


def _examples_given(epochs: Any, num_examples: int, layout: DataLayout, worker: Any) -> Any:
    """Returns how many examples a worker has given after so many epochs (ints or int64 tensors).

    Summed over the workers that is epochs * num_examples (Hermite's identity), and two of them differ by one at most.
    """
    return (epochs * num_examples + worker) // layout.num_workers


def epoch_share(epoch: tf.Tensor, num_examples: int, layout: DataLayout) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns this worker's part [start, end) of an epoch's sequence of examples, int64 []."""
    workers = tf.range(layout.num_workers, dtype=tf.int64)
    before, after = (_examples_given(epoch + n, num_examples, layout, workers) for n in (0, 1))
    ends = tf.cumsum(after - before)
    return ends[layout.worker] - (after - before)[layout.worker], ends[layout.worker]


def find_example(position: int, num_examples: int, layout: DataLayout) -> tuple[int, int]:
    """Returns the epoch of the example at this position in a worker's stream, and its position within the epoch."""
    epoch = position * layout.num_workers // num_examples
    while _examples_given(epoch, num_examples, layout, layout.worker) > position:
        epoch -= 1
    return epoch, position - _examples_given(epoch, num_examples, layout, layout.worker)
