"""Shards to batches.

Training reads an endless stream of examples, cut into windows of `bucketing_batches` batches:

    epoch e: shards in an order drawn from (seed, e) -> interleaved records -> examples -> shuffled by (seed, e)
    window w: examples [w * W, (w + 1) * W) of the stream -> sorted by caption length -> batches, in an order drawn
              from (seed, w) -> photographs decoded -> captions trimmed to the batch's longest

What step k sees is thus a function of seed and k alone. To resume there, whole epochs and windows before it are skipped
without reading, and the raw examples of its epoch before it without decoding.

An example is a photograph with up to `captions_per_image` of its captions; one that has more gives several examples, so
that every caption comes exactly once an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from im2txt.configuration import InputConfig
from im2txt.images import preprocessing
from im2txt.images.preprocessing import ImageFormat
from im2txt.shards.manifest import Manifest
from im2txt.shards.records import parse_example
from im2txt.shards.shard_folder import ShardFolder

_NO_WORD = -1  # Pads captions until the mask exists.
_INTERLEAVED_SHARDS = 8
_RECORD_BUFFER_BYTES = 1 << 20

Tensors = dict[str, tf.Tensor]


def examples_per_epoch(manifest: Manifest, split: str, captions_per_image: int) -> int:
    """Returns the number of examples in one pass over a split."""
    return sum(
        examples * math.ceil(captions / captions_per_image)
        for shard in manifest.split(split).shards
        for captions, examples in shard.captions_per_example.items()
    )


def training_batches(
    folder: ShardFolder,
    config: InputConfig,
    image_format: ImageFormat | None,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Returns the endless batches of training.

    Args:
        folder: the shards, of photographs or features.
        config: split, shuffling and bucketing.
        image_format: how to prepare photographs; None for feature shards.
        batch_size: examples per batch, I below.
        seed: of every random choice.
        first_batch: position in the stream of batches; batch k is the same wherever the stream starts.

    Returns:
        A dataset of dicts, B = I * captions_per_image: `images` float32 [I, S, S, 3] or `features` float32 [I, F];
        `image_id` int64 [I]; `input_ids`, `target_ids` int32 [B, T]; `mask` bool [B, T].

    Raises:
        ValueError: if the manifest's layout or content does not fit the configuration.
    """
    _check_fit(folder, config, image_format)
    manifest = folder.manifest
    paths = folder.shard_paths(config.train_split)
    epoch_size = examples_per_epoch(manifest, config.train_split, config.captions_per_image)
    window_size = config.bucketing_batches * batch_size
    first_window, batches_to_skip = divmod(first_batch, config.bucketing_batches)
    first_epoch, examples_to_skip = divmod(first_window * window_size, epoch_size)

    def epoch_examples(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.constant(paths), seed=[tf.constant(seed, tf.int64), epoch])
        examples = _examples(tf.data.Dataset.from_tensor_slices(order), manifest, config.captions_per_image)
        return examples.shuffle(config.shuffle_buffer_examples, seed=seed + epoch, reshuffle_each_iteration=False)

    later_epochs = tf.data.Dataset.range(first_epoch + 1, tf.int64.max).flat_map(epoch_examples)
    stream = epoch_examples(tf.constant(first_epoch, tf.int64)).skip(examples_to_skip).concatenate(later_epochs)
    windows = stream.padded_batch(window_size, padding_values=_padding_values(stream), drop_remainder=True)
    batches = windows.enumerate(first_window).flat_map(_bucketer(config.bucketing_batches, batch_size, seed))
    batches = batches.skip(batches_to_skip).enumerate(first_batch)

    def finish(index: tf.Tensor, batch: Tensors) -> Tensors:
        if image_format is not None:
            positions = index * batch_size + tf.range(batch_size, dtype=tf.int64)
            batch = _with_images(batch, _distorter(image_format, config.distort_images, seed), positions)
        return _with_words(batch)

    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(4)


def evaluation_batches(
    folder: ShardFolder, split: str, image_format: ImageFormat | None, batch_size: int
) -> tf.data.Dataset:
    """Returns a split's captions once, each exactly once, in the order of the shards.

    The last batch may be smaller. See `training_batches` for the arguments and what a batch holds; all captions of a
    photograph share its row of `images` or `features`.
    """
    examples = _evaluation_examples(folder, split)
    batches = examples.padded_batch(batch_size, padding_values=_padding_values(examples))

    def finish(batch: Tensors) -> Tensors:
        return _with_words(_with_images(batch, _preparer(image_format)) if image_format else batch)

    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def photograph_batches(
    folder: ShardFolder, split: str, image_format: ImageFormat | None, batch_size: int
) -> tf.data.Dataset:
    """Returns a split's photographs without captions: `image_id` and `images` or `features`, in the shards' order.

    A photograph comes once per example that holds it: once in layout `image`, once per caption in layout `pair`.
    """

    def finish(batch: Tensors) -> Tensors:
        batch = {name: value for name, value in batch.items() if name != "caption_ids"}
        return _with_images(batch, _preparer(image_format)) if image_format else batch

    examples = _evaluation_examples(folder, split)
    batches = examples.padded_batch(batch_size, padding_values=_padding_values(examples))
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def _check_fit(folder: ShardFolder, config: InputConfig, image_format: ImageFormat | None) -> None:
    if (folder.manifest.encoder is None) != (image_format is not None):
        held = "photographs" if folder.manifest.encoder is None else "features"
        raise ValueError(f"{folder.path} holds {held}, and the batches were asked for the other.")
    if folder.manifest.layout == "pair" and config.captions_per_image > 1:
        raise ValueError(
            f"input.captions_per_image={config.captions_per_image}: {folder.path} is in layout 'pair', one caption "
            "per example. Use 1, or build the shards with --layout=image."
        )


def _evaluation_examples(folder: ShardFolder, split: str) -> tf.data.Dataset:
    paths = folder.shard_paths(split)
    most_captions = max(max(shard.captions_per_example, default=1) for shard in folder.manifest.split(split).shards)
    return _examples(tf.data.Dataset.from_tensor_slices(tf.constant(paths)), folder.manifest, most_captions)


def _examples(paths: tf.data.Dataset, manifest: Manifest, captions_per_image: int) -> tf.data.Dataset:
    """Returns examples: `image_id`, `encoded_image` or `features`, `caption_ids` int32 [captions_per_image, T]."""
    feature_shape = manifest.encoder.feature_shape if manifest.encoder else None

    def parse(serialized: tf.Tensor) -> Tensors:
        example = parse_example(serialized, manifest.layout, feature_shape)
        return example | {"caption_ids": tf.cast(example["caption_ids"], tf.int32).to_tensor(_NO_WORD)}

    def groups(example: Tensors) -> tf.data.Dataset:
        captions = example["caption_ids"]  # [captions, T]
        num_groups = -(-tf.shape(captions)[0] // captions_per_image)
        missing = num_groups * captions_per_image - tf.shape(captions)[0]
        captions = tf.pad(captions, [[0, missing], [0, 0]], constant_values=_NO_WORD)
        captions = tf.reshape(captions, [num_groups, captions_per_image, tf.shape(captions)[1]])
        return tf.data.Dataset.from_tensor_slices(captions).map(lambda ids: example | {"caption_ids": ids})

    records = paths.interleave(
        lambda path: tf.data.TFRecordDataset(path, buffer_size=_RECORD_BUFFER_BYTES),
        cycle_length=_INTERLEAVED_SHARDS,
        num_parallel_calls=_INTERLEAVED_SHARDS,
        deterministic=True,
    )
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).flat_map(groups)


def _padding_values(examples: tf.data.Dataset) -> Tensors:
    zeros = {
        name: tf.constant("" if spec.dtype == tf.string else 0, spec.dtype)
        for name, spec in examples.element_spec.items()
    }
    return zeros | {"caption_ids": tf.constant(_NO_WORD)}


def _bucketer(num_batches: int, batch_size: int, seed: int) -> Callable[[tf.Tensor, Tensors], tf.data.Dataset]:
    """Returns the function that cuts a window into batches of captions of like length."""

    def cut(window_index: tf.Tensor, window: Tensors) -> tf.data.Dataset:
        lengths = tf.reduce_max(_caption_lengths(window["caption_ids"]), axis=1)
        order = tf.reshape(tf.argsort(lengths, stable=True), [num_batches, batch_size])
        batch_seed = [tf.constant(seed, tf.int64), window_index]
        order = tf.random.experimental.stateless_shuffle(order, seed=batch_seed)
        return tf.data.Dataset.from_tensor_slices({name: tf.gather(value, order) for name, value in window.items()})

    return cut


def _caption_lengths(caption_ids: tf.Tensor) -> tf.Tensor:
    """int32 [..., T] padded with -1 -> int32 [...]."""
    return tf.reduce_sum(tf.cast(caption_ids != _NO_WORD, tf.int32), axis=-1)


def _with_words(batch: Tensors) -> Tensors:
    """Replaces `caption_ids` by input_ids, target_ids and mask, trimmed to the longest caption.

    A caption of n ids gives n - 1 steps:  input <S> a cat,  target a cat </S>,  mask 1 1 1.
    """
    batch = dict(batch)
    caption_ids = batch.pop("caption_ids")
    caption_ids = caption_ids[..., : tf.reduce_max(_caption_lengths(caption_ids))]
    caption_ids = tf.reshape(caption_ids, [-1, tf.shape(caption_ids)[-1]])  # [B, T + 1]
    mask = caption_ids[:, 1:] != _NO_WORD
    return batch | {
        "input_ids": tf.where(mask, caption_ids[:, :-1], 0),
        "target_ids": tf.where(mask, caption_ids[:, 1:], 0),
        "mask": mask,
    }


def _with_images(
    batch: Tensors, prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], positions: tf.Tensor | None = None
) -> Tensors:
    batch = dict(batch)
    encoded_images = batch.pop("encoded_image")
    if positions is None:
        positions = tf.zeros(tf.shape(encoded_images), tf.int64)
    prepared = tf.map_fn(lambda pair: prepare(*pair), (encoded_images, positions), fn_output_signature=tf.float32)
    return batch | {"images": prepared}


def _preparer(image_format: ImageFormat) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    def prepare(encoded_image: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        del position  # Nothing is drawn at random.
        return preprocessing.prepare_image(encoded_image, image_format)

    return prepare


def _distorter(image_format: ImageFormat, distort: bool, seed: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    if not distort:
        return _preparer(image_format)

    def prepare(encoded_image: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        image_seed = tf.stack([tf.constant(seed, tf.int64), position])
        return preprocessing.prepare_distorted_image(encoded_image, image_format, image_seed)

    return prepare
