"""Shards to batches.

Training reads an endless stream of examples, cut into windows of `bucketing_batches` batches:

    epoch e: shards in an order drawn from (seed, e) -> this worker's part of that sequence of examples -> its shards
             interleaved -> shuffled by (seed, e)
    window w: examples [w * W, (w + 1) * W) of the stream -> sorted by caption length -> batches, in an order drawn
              from (seed, w) -> each cut over this worker's replicas -> photographs decoded -> captions trimmed to
              the longest

What step k sees is thus a function of seed and k alone, on however many replicas of one process. To resume there, whole
epochs and windows before it are skipped without reading, and the raw examples of its epoch before it without decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from im2txt.configuration import InputConfig
from im2txt.images import preprocessing
from im2txt.images.preprocessing import ImageFormat
from im2txt.shards.data_layout import ONE_DEVICE, DataLayout
from im2txt.shards.example_sequence import NO_WORD, ExampleSequence, check_examples, epoch_share, find_example
from im2txt.shards.long_captions import check_lengths
from im2txt.shards.shard_folder import ShardFolder

_EPOCHS = 1_000_003  # More than any run has: no epoch of one seed is shuffled as one of another.

Tensors = dict[str, tf.Tensor]


def training_batches(
    folder: ShardFolder,
    config: InputConfig,
    image_format: ImageFormat | None,
    seed: int,
    first_step: int = 0,
    layout: DataLayout = ONE_DEVICE,
) -> tf.data.Dataset:
    """Returns the endless batches of training.

    Args:
        folder: the shards, of photographs or features.
        config: split, batch size, shuffling and bucketing.
        image_format: how to prepare photographs; None for feature shards.
        seed: of every random choice.
        first_step: position in the stream; what a step sees is the same wherever the stream starts.
        layout: which part this process takes, and on how many replicas.

    Returns:
        A dataset of dicts, one for each replica of this process in turn, then those of the next step. With I the
        replica's part of config.batch_size and B = I * captions_per_image: `images` float32 [I, S, S, 3] or `features`
        float32 [I, F] or [I, P, C]; `image_id` int64 [I]; `input_ids`, `target_ids` int32 [B, T]; `mask` bool [B, T].

    Raises:
        ValueError: if the manifest's layout or content does not fit the configuration.
    """
    _check_fit(folder, config, image_format)
    replica_batch_size = layout.replica_batch_size(config.batch_size)
    batch_size = replica_batch_size * layout.local_replicas
    sequence = ExampleSequence(folder, config.train_split, config.captions_per_image)
    check_examples(sequence.num_examples, layout.num_workers, f"Split {config.train_split!r} of {folder.path}")
    window_size = config.bucketing_batches * batch_size
    first_window, batches_to_skip = divmod(first_step, config.bucketing_batches)
    first_epoch, examples_to_skip = find_example(first_window * window_size, sequence.num_examples, layout)

    def epoch_examples(epoch: tf.Tensor) -> tf.data.Dataset:
        order_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(sequence.num_shards), seed=order_seed)
        examples = sequence.examples(order, *epoch_share(epoch, sequence.num_examples, layout), order_seed)
        buffer_seed = seed * _EPOCHS + epoch
        return examples.shuffle(config.shuffle_buffer_examples, seed=buffer_seed, reshuffle_each_iteration=False)

    later_epochs = tf.data.Dataset.range(first_epoch + 1, tf.int64.max).flat_map(epoch_examples)
    stream = epoch_examples(tf.constant(first_epoch, tf.int64)).skip(examples_to_skip).concatenate(later_epochs)
    windows = stream.padded_batch(window_size, padding_values=_padding_values(stream), drop_remainder=True)
    batches = windows.enumerate(first_window).flat_map(_bucketer(config.bucketing_batches, batch_size, seed))
    batches = batches.skip(batches_to_skip)
    if layout.local_replicas > 1:
        batches = batches.flat_map(_cutter(layout.local_replicas, replica_batch_size))
    # Distortions are drawn by an example's position in the global stream, in which the workers' batches alternate.
    first_part = first_step * layout.local_replicas

    def finish(index: tf.Tensor, batch: Tensors) -> Tensors:
        if image_format is not None:
            step, replica = index // layout.local_replicas, index % layout.local_replicas
            part = step * layout.num_replicas + layout.worker * layout.local_replicas + replica
            positions = part * replica_batch_size + tf.range(replica_batch_size, dtype=tf.int64)
            batch = _with_images(batch, _distorter(image_format, config.distort_images, seed), positions)
        return _with_words(_with_float32(batch), config.padded_caption_length)

    batches = batches.enumerate(first_part).map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # Known to be endless, replicas need not ask each other before every step whether one has run out.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.prefetch(4 * layout.local_replicas).apply(endless)


def evaluation_batches(
    folder: ShardFolder,
    split: str,
    image_format: ImageFormat | None,
    batch_size: int,
    layout: DataLayout = ONE_DEVICE,
) -> tf.data.Dataset:
    """Returns this process's part of a split: over all workers each caption exactly once.

    Shards come in order, the last batch may be smaller. Where there are several replicas, empty batches (one row, no
    word in its mask) follow until all have had as many. See `training_batches` for what a batch holds; all captions of
    a photograph share its row of `images` or `features`.

    Args:
        folder: the shards.
        split: name of the split.
        image_format: how to prepare photographs; None for feature shards.
        batch_size: photographs per batch of one replica.
        layout: which part this process takes, and on how many replicas.
    """
    examples = _evaluation_examples(folder, split, layout)
    batches = examples.padded_batch(batch_size, padding_values=_padding_values(examples))

    def finish(batch: Tensors) -> Tensors:
        return _with_words(_with_images(batch, _preparer(image_format)) if image_format else _with_float32(batch))

    batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)
    if layout.num_replicas > 1:
        num_steps = -(
            -layout.largest_share(folder.manifest.split(split).examples) // (batch_size * layout.local_replicas)
        )
        batches = batches.concatenate(_empty_batches(batches)).take(num_steps * layout.local_replicas)
    return batches


def photograph_batches(
    folder: ShardFolder, split: str, image_format: ImageFormat | None, batch_size: int, positions: Sequence[int]
) -> tf.data.Dataset:
    """Returns some of a split's photographs, without captions: `image_id` and `images` or `features`.

    Args:
        folder: the shards.
        split: name of the split.
        image_format: how to prepare photographs; None for feature shards.
        batch_size: photographs per batch.
        positions: places, in the order of `image_ids`, of the examples that come; only they are decoded.
    """

    def finish(batch: Tensors) -> Tensors:
        batch = {name: value for name, value in batch.items() if name != "caption_ids"}
        return _with_images(batch, _preparer(image_format)) if image_format else _with_float32(batch)

    wanted = tf.constant(positions, tf.int64)
    chosen = (
        _evaluation_examples(folder, split)
        .enumerate()
        .filter(lambda position, _: tf.reduce_any(wanted == position))
        .take(len(positions))
        .map(lambda _, example: example)
    )
    batches = chosen.padded_batch(batch_size, padding_values=_padding_values(chosen))
    return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def image_ids(folder: ShardFolder, split: str, batch_size: int) -> tf.data.Dataset:
    """Returns the ids of a split's examples, int64 [up to batch_size], shard after shard.

    A photograph's comes once per example that holds it: once in layout `image`, once per caption in layout `pair`.
    """
    return _evaluation_examples(folder, split).map(lambda example: example["image_id"]).batch(batch_size)


def _check_fit(folder: ShardFolder, config: InputConfig, image_format: ImageFormat | None) -> None:
    if (folder.manifest.encoder is None) != (image_format is not None):
        held = "photographs" if folder.manifest.encoder is None else "features"
        raise ValueError(f"{folder.path} holds {held}, and the batches were asked for the other.")
    if folder.manifest.layout == "pair" and config.captions_per_image > 1:
        raise ValueError(
            f"input.captions_per_image={config.captions_per_image}: {folder.path} is in layout 'pair', one caption "
            "per example. Use 1, or build the shards with --layout=image."
        )


def _evaluation_examples(folder: ShardFolder, split: str, layout: DataLayout = ONE_DEVICE) -> tf.data.Dataset:
    most_captions = max(max(shard.captions_per_example, default=1) for shard in folder.manifest.split(split).shards)
    sequence = ExampleSequence(folder, split, most_captions)
    return sequence.examples(tf.range(sequence.num_shards), *layout.share(sequence.num_examples))


def _padding_values(examples: tf.data.Dataset) -> Tensors:
    zeros = {
        name: tf.constant("" if spec.dtype == tf.string else 0, spec.dtype)
        for name, spec in examples.element_spec.items()
    }
    return zeros | {"caption_ids": tf.constant(NO_WORD)}


def _bucketer(num_batches: int, batch_size: int, seed: int) -> Callable[[tf.Tensor, Tensors], tf.data.Dataset]:
    """Returns the function that cuts a window into batches of captions of like length."""

    def cut(window_index: tf.Tensor, window: Tensors) -> tf.data.Dataset:
        lengths = tf.reduce_max(_caption_lengths(window["caption_ids"]), axis=1)
        order = tf.reshape(tf.argsort(lengths, stable=True), [num_batches, batch_size])
        batch_seed = [tf.constant(seed, tf.int64), window_index]
        order = tf.random.experimental.stateless_shuffle(order, seed=batch_seed)
        return tf.data.Dataset.from_tensor_slices({name: tf.gather(value, order) for name, value in window.items()})

    return cut


def _cutter(num_parts: int, size: int) -> Callable[[Tensors], tf.data.Dataset]:
    """Returns the function that cuts a batch into the parts of this process's replicas."""

    def cut(batch: Tensors) -> tf.data.Dataset:
        parts = {name: tf.reshape(v, tf.concat([[num_parts, size], tf.shape(v)[1:]], 0)) for name, v in batch.items()}
        parts = {name: tf.ensure_shape(v, [num_parts, size, *batch[name].shape[1:]]) for name, v in parts.items()}
        return tf.data.Dataset.from_tensor_slices(parts)

    return cut


def _empty_batches(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns endless batches like these, of one row and one word that the mask leaves out."""
    zeros = {
        name: tf.zeros([size or 1 for size in spec.shape], spec.dtype) for name, spec in batches.element_spec.items()
    }
    return (
        tf.data.Dataset.from_tensors(zeros)
        .repeat()
        .map(lambda batch: {name: tf.ensure_shape(v, batches.element_spec[name].shape) for name, v in batch.items()})
    )


def _caption_lengths(caption_ids: tf.Tensor) -> tf.Tensor:
    """int32 [..., T] padded with -1 -> int32 [...]."""
    return tf.reduce_sum(tf.cast(caption_ids != NO_WORD, tf.int32), axis=-1)


def _with_words(batch: Tensors, padded_length: int = 0) -> Tensors:
    """Replaces `caption_ids` by input_ids, target_ids and mask, as long as the longest caption or padded to a length.

    A caption of n ids gives n - 1 steps:  input <S> a cat,  target a cat </S>,  mask 1 1 1.
    """
    batch = dict(batch)
    caption_ids = batch.pop("caption_ids")
    lengths = _caption_lengths(caption_ids)
    length = tf.maximum(tf.reduce_max(lengths), 2)  # Of captions that were left out nothing is known but their place.
    caption_ids = caption_ids[..., :length]
    if padded_length:
        with tf.control_dependencies([check_lengths(lengths, batch["image_id"], padded_length)]):
            missing = tf.maximum(padded_length - length, 0)
        caption_ids = tf.pad(caption_ids, [[0, 0], [0, 0], [0, missing]], constant_values=NO_WORD)
        caption_ids = tf.ensure_shape(caption_ids, [*caption_ids.shape[:2], padded_length])
    num_captions = caption_ids.shape[:2].num_elements() or -1
    caption_ids = tf.reshape(caption_ids, [num_captions, padded_length or length])  # [B, T + 1]
    mask = caption_ids[:, 1:] != NO_WORD
    return batch | {
        "input_ids": tf.where(mask, caption_ids[:, :-1], 0),
        "target_ids": tf.where(mask, caption_ids[:, 1:], 0),
        "mask": mask,
    }


def _with_float32(batch: Tensors) -> Tensors:
    """Gives stored features the type that models compute with."""
    return {name: tf.cast(value, tf.float32) if name == "features" else value for name, value in batch.items()}


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
