"""Perplexity of a captioner on batches of captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

Batch = dict[str, tf.Tensor]


def build_perplexity(
    word_losses: Callable[[Batch], tf.Tensor], strategy: tf.distribute.Strategy | None = None
) -> Callable[[Iterable[Any]], tuple[float, int]]:
    """Returns a function from batches to (perplexity, words).

    Args:
        word_losses: a batch's losses in nats, float32 [M], one for each of its M real words; M may be 0.
        strategy: where it is computed. The batches are then those of a distributed dataset, and the result, the same on
            every worker, is that of all their parts together.

    Perplexity is exp of the mean cross entropy per word, `</S>` counted and `<S>` not, teacher-forced. Every word of
    the batches counts once; sums are float64. The graph is traced once and serves all later calls.

    The function raises a ValueError where the batches hold no word; a mean beyond 700 nats gives infinity.

    Source: the definition of the original im2txt, without its repeated examples.
    """
    computed_on = strategy or tf.distribute.get_strategy()

    def of_replica(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        values = word_losses(batch)
        return tf.reduce_sum(tf.cast(values, tf.float64)), tf.size(values, out_type=tf.int64)

    @tf.function(reduce_retracing=True)
    def losses(batch: Any) -> list[tf.Tensor]:
        return [computed_on.reduce("SUM", part, axis=None) for part in computed_on.run(of_replica, args=(batch,))]

    def perplexity(batches: Iterable[Any]) -> tuple[float, int]:
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
