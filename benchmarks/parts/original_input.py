"""The original im2txt's way from shards to batches, in tf.data: its queues' sizes, its operations on photographs.

One reader, a buffer of 4,600 captions out of which the next is drawn, decoding and distortion per caption in the two
orders of its threads, and batches padded to their longest caption. Written from what it does, not from its code.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

RESIZED, CROPPED = 346, 299
MIN_AFTER_DEQUEUE = 4_600


def original_batches(paths: Sequence[str], batch_size: int, buffer: int = MIN_AFTER_DEQUEUE) -> tf.data.Dataset:
    """Returns endless batches: `images` float32 [B, 299, 299, 3] in -1 to 1, `input_ids`, `target_ids`, `mask` [B, T].

    Args:
        paths: shards of layout `pair`.
        batch_size: captions per batch.
        buffer: captions among which the next one is drawn.
    """
    files = tf.data.Dataset.from_tensor_slices(list(paths)).shuffle(16).repeat()
    records = files.flat_map(tf.data.TFRecordDataset).shuffle(buffer)
    examples = records.enumerate().map(_example, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.padded_batch(batch_size).prefetch(2)


def _example(index: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
    context, lists = tf.io.parse_single_sequence_example(
        record,
        context_features={"image/data": tf.io.FixedLenFeature([], tf.string)},
        sequence_features={"image/caption_ids": tf.io.FixedLenSequenceFeature([], tf.int64)},
    )
    caption = tf.cast(lists["image/caption_ids"], tf.int32)
    return {
        "images": _distorted(context["image/data"], index % 2 == 0),
        "input_ids": caption[:-1],
        "target_ids": caption[1:],
        "mask": tf.ones_like(caption[1:], tf.bool),
    }


def _distorted(encoded: tf.Tensor, even_thread: tf.Tensor) -> tf.Tensor:
    image = tf.image.convert_image_dtype(tf.io.decode_jpeg(encoded, channels=3), tf.float32)
    image = tf.compat.v1.image.resize(image, [RESIZED, RESIZED])
    image = tf.image.random_flip_left_right(tf.image.random_crop(image, [CROPPED, CROPPED, 3]))
    image = tf.image.random_brightness(image, 32 / 255)

    def saturated(image: tf.Tensor) -> tf.Tensor:
        return tf.image.random_hue(tf.image.random_saturation(image, 0.5, 1.5), 0.032)

    def contrasted(image: tf.Tensor) -> tf.Tensor:
        return tf.image.random_contrast(image, 0.5, 1.5)

    image = tf.cond(even_thread, lambda: contrasted(saturated(image)), lambda: saturated(contrasted(image)))
    return (tf.clip_by_value(image, 0.0, 1.0) - 0.5) * 2.0
