"""The training loss."""

from __future__ import annotations

import tensorflow as tf


def word_losses(logits: tf.Tensor, target_ids: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """Cross entropy of each word.

    Args:
        logits: float [M, V]; float32 arithmetic whatever the dtype.
        target_ids: int [M], in [0, V).
        label_smoothing: probability mass spread evenly over all V words, in [0, 1).

    Returns:
        float32 [M], nats; ln V for uniform logits.
    """
    logits = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target_ids, logits=logits)
    if label_smoothing:
        spread = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * spread
    return losses
