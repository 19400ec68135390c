"""Perplexity of a captioner on batches of captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

    Batch = dict[str, tf.Tensor]


def build_perplexity(
    word_losses: Callable[[Batch], tf.Tensor], strategy: tf.distribute.Strategy | None = None
) -> Callable[[Iterable[Any]], tuple[float, int]]:
    """Returns a function from batches to (perplexity, words); see `build_total_loss` and `perplexity`."""
    total_loss = build_total_loss(word_losses, strategy)

    def of_batches(batches: Iterable[Any]) -> tuple[float, int]:
        total, words = total_loss(batches)
        return perplexity(total, words), words

    return of_batches


def build_total_loss(
    word_losses: Callable[[Batch], tf.Tensor], strategy: tf.distribute.Strategy | None = None
) -> Callable[[Iterable[Any]], tuple[float, int]]:
    """Returns a function from batches to (nats, words), of which those of several parts can be added.

    Args:
        word_losses: a batch's losses in nats, float32 [M], one for each of its M real words; M may be 0.
        strategy: where it is computed. The batches are then those of a distributed dataset, and the result, the same on
            every worker, is that of all their parts together.

    Every word of the batches counts once; sums are float64. The graph is traced for a few shapes at most.
    """
    import tensorflow as tf  # Deferred: whoever adds up what others have computed does without.

    computed_on = strategy or tf.distribute.get_strategy()

    def of_replica(batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        values = word_losses(batch)
        return tf.reduce_sum(tf.cast(values, tf.float64)), tf.size(values, out_type=tf.int64)

    @tf.function(reduce_retracing=True)
    def losses(batch: Any) -> list[tf.Tensor]:
        return [computed_on.reduce("SUM", part, axis=None) for part in computed_on.run(of_replica, args=(batch,))]

    def total_loss(batches: Iterable[Any]) -> tuple[float, int]:
        total, words = 0.0, 0
        for batch in batches:
            batch_total, batch_words = losses(batch)
            total += float(batch_total)
            words += int(batch_words)
        return total, words

    return total_loss


def perplexity(total_loss: float, words: int) -> float:
    """Returns exp of the mean cross entropy per word, `</S>` counted and `<S>` not, teacher-forced.

    Args:
        total_loss: nats.
        words: over which they are summed; a mean beyond 700 nats gives infinity.

    Raises:
        ValueError: if there is no word.

    Source: the definition of the original im2txt, without its repeated examples.
    """
    if words == 0:
        raise ValueError("The split to be validated holds no words.")
    mean = total_loss / words
    # exp overflows above 709; a run that far off has diverged.
    return math.exp(mean) if mean < 700 else math.inf
