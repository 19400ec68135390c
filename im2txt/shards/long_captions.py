"""Captions that are longer than `input.padded_caption_length`: found within the pipeline, told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

_MARK = "longer than input.padded_caption_length"


def check_lengths(lengths: tf.Tensor, image_ids: tf.Tensor, padded_length: int) -> tf.Operation:
    """Returns an operation that fails where a caption is too long.

    Args:
        lengths: int32 [I, captions_per_image], ids of each caption.
        image_ids: int64 [I].
        padded_length: most ids that a caption may have.
    """
    of_image = tf.reduce_max(lengths, axis=1)
    longest = tf.argmax(of_image)
    data = [_MARK, tf.gather(image_ids, longest), tf.gather(of_image, longest)]
    return tf.debugging.Assert(tf.reduce_all(of_image <= padded_length), data)


@contextmanager
def long_captions_named(padded_length: int) -> Iterator[None]:
    """Turns the failure of `check_lengths`, as TensorFlow tells it, into a ValueError that names the photograph."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{re.escape(_MARK)}\] \[(\d+)\] \[(\d+)\]", str(error))
        if found is None:
            raise
        raise ValueError(
            f"input.padded_caption_length={padded_length}: photograph {found[1]} has a caption of {found[2]} ids with "
            f"`<S>` and `</S>`. Make it at least {found[2]}, in a new --workdir, or leave such captions out of the "
            "shards."
        ) from error
