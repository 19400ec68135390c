"""What training and decoding ask of a caption decoder, and what decoders have in common.

A decoder sees features and word ids, never files, images or beams.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

State = Any  # A nest of tensors [B, ...].


class CaptionDecoder(Protocol):
    """What training and decoding ask of a decoder."""

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All weights by stable name; every one is trained."""

    @property
    def vocab_size(self) -> int:
        """V: words that `step` and `logits` tell apart; the last may be to spare."""

    def initial_state(self, features: tf.Tensor) -> State:
        """Returns the state before `<S>`, from features float32 [B, F]."""

    def step(self, word_ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Feeds one word int32 [B]; returns float32 logits [B, V] of the next one and the new state."""

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Feeds whole captions.

        Args:
            features: float32 [B, F].
            input_ids: int32 [B, T], the first being `<S>`.
            dropout_seed: int64 [2] in training; None drops nothing and then equals repeated `step`.

        Returns:
            float32 [B, T, U]; `logits` turns a row into the next word's logits.
        """

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """Turns outputs float32 [M, U] into logits float32 [M, V]."""


def log_frequencies(word_counts: np.ndarray) -> np.ndarray:
    """Returns float64 [V]: ln of each word's share of all predicted words; a count of 0 counts as 1."""
    counts = np.maximum(np.asarray(word_counts, np.float64), 1.0)
    return np.log(counts / counts.sum())


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, stream: int) -> tf.Tensor:
    """Inverted dropout, a pure function of seed and stream: a resumed run draws the same masks again.

    Args:
        x: float, of any shape.
        rate: share of `x` set to 0, in [0, 1); the rest is divided by 1 - rate.
        seed: int64 [2]; None drops nothing.
        stream: tells apart what is dropped with one seed.
    """
    if seed is None or rate == 0:
        return x
    return tf.nn.experimental.stateless_dropout(x, rate, tf.random.fold_in(seed, stream), rng_alg="philox")
