"""The training loss, and what it adds for an attention to be had."""

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


def attention_penalties(attention: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Doubly stochastic penalty: over a caption, each place should be looked at once in all.

    Args:
        attention: float32 [B, T, P]; each word's sums to 1.
        mask: bool [B, T], which words are real.

    Returns:
        float32 [B], of each caption the sum over places of (1 - sum over words of the attention)**2.

    Source: Xu et al., "Show, Attend and Tell", arXiv 1502.03044, equation 14.
    """
    of_places = tf.reduce_sum(tf.where(mask[:, :, tf.newaxis], attention, 0.0), axis=1)  # [B, P]
    return tf.reduce_sum(tf.square(1.0 - of_places), axis=1)
