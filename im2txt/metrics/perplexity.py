"""Perplexity of a captioner on batches of captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import tensorflow as tf

Batch = dict[str, tf.Tensor]


def build_perplexity(word_losses: Callable[[Batch], tf.Tensor]) -> Callable[[Iterable[Batch]], tuple[float, int]]:
    """Returns a function from batches to (perplexity, words).

    Args:
        word_losses: a batch's losses in nats, float32 [M], one for each of its M real words.

    Perplexity is exp of the mean cross entropy per word, `</S>` counted and `<S>` not, teacher-forced. Every word of
    the batches counts once; sums are float64. The graph is traced once and serves all later calls.

    Source: the definition of the original im2txt, without its repeated examples.
    """

    @tf.function(reduce_retracing=True)
    def losses(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        values = word_losses(batch)
        return tf.reduce_sum(tf.cast(values, tf.float64)), tf.size(values)

    def perplexity(batches: Iterable[Batch]) -> tuple[float, int]:
        total, words = 0.0, 0
        for batch in batches:
            batch_total, batch_words = losses(batch)
            total += float(batch_total)
            words += int(batch_words)
        if words == 0:
            raise ValueError("The split to be validated holds no words.")
        mean = total / words
        # exp overflows above 709; a run that far off has diverged.
        return (math.exp(mean) if mean < 700 else math.inf), words

    return perplexity
