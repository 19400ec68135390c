"""What training and decoding ask of a caption decoder, and what decoders have in common.

A decoder sees features and word ids, never files, images or beams.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

State = Any
"""What changes from word to word: a nest of tensors [B, ...], a row for each partial caption."""
Fixed = Any
"""What stays the same from word to word: a nest of tensors [I, ...], a row for each photograph."""


class CaptionDecoder(Protocol):
    """What training and decoding ask of a decoder.

    Features are those of whole photographs: float32 [I, F], or where the encoder keeps places (`encoder.pooling=grid`)
    [I, P, C], the P places row by row. `feature_shape` is (F,) or (P, C).

    Captions outnumber photographs where a batch has several of each, or a search several in mind: captions [B, ...] of
    photographs [I, ...], B a multiple of I, those of one photograph in consecutive rows.

    Attributes:
        feature_ranks: which features the decoder takes: 1 for vectors (F,), 2 for grids (P, C).
    """

    feature_ranks: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        config: Any,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights. `config` is of the decoder's own class; see `ShowAndTellDecoder` for the others."""

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All weights by stable name; every one is trained."""

    @property
    def vocab_size(self) -> int:
        """V: words that `step` and `logits` tell apart; the last may be to spare."""

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """Looks at photographs before their first word.

        Args:
            features: float32 [I, *feature_shape].
            num_steps: most words that will be fed to a caption.

        Returns:
            The state before `<S>` of one caption per photograph, and what every step needs besides: a search repeats
            and reorders the rows of the state, and never copies the rest.
        """

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """Feeds one word int32 [B]; returns float32 logits [B, V] of the next one and the new state."""

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Feeds whole captions.

        Args:
            features: float32 [I, *feature_shape].
            input_ids: int32 [B, T], the first being `<S>`.
            dropout_seed: int64 [2] in training; None drops nothing and then equals repeated `step`.

        Returns:
            float32 [B, T, U]; `logits` turns a row into the next word's logits.
        """

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """Turns outputs float32 [M, U] into logits float32 [M, V]."""


@runtime_checkable
class AttendingDecoder(CaptionDecoder, Protocol):
    """A decoder that looks at places of the photograph, and tells at which.

    Attributes:
        attention_penalty: weight in training of the doubly stochastic penalty; see `losses.attention_penalties`.
    """

    attention_penalty: float

    def attend(
        self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Feeds whole captions as `unroll`, with the same outputs.

        Returns:
            The outputs, and float32 [B, T, P], how much of the attention before word t was on place p; sums to 1.
        """


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
