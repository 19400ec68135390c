"""The merge model: what the LSTM has read of the caption, and the photograph, meet only before the next word."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import MergeConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step
from im2txt.model.decoders.weights import (
    WeightedDecoder,
    dense_weights,
    embedding_weights,
    lstm_weights,
    repeat_rows,
)


class MergeDecoder(WeightedDecoder):
    """An LSTM over words alone; its output plus the photograph's dense layer passes another one and then the output.

    The tutorial trains one pair of photograph and first words for each word of each caption; here all words of a
    caption are predicted in one pass, which is the same objective: its LSTM starts from 0 and skips the padding.

    Weights, for E = embedding_size and U = num_lstm_units, with the first values that Keras gives such layers:

        image/kernel, /bias            [F, U], [U]   rectified
        word_embedding                 [V, E]
        lstm/kernel, /bias             [E, 4U], [4U]
        lstm/recurrent_kernel          [U, 4U]
        hidden/kernel, /bias           [U, U], [U]   rectified
        logits/kernel, /bias           [U, V], [V]

    In training, dropout falls on the photograph's features and the word vectors.

    Source: Brownlee, "How to Develop a Deep Learning Photo Caption Generator from Scratch", after Tanti et al., "Where
    to put the Image in an Image Caption Generator", arXiv 1703.09137.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: MergeConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`."""
        units, generator = config.num_lstm_units, np.random.default_rng(seed)
        initial = {
            **dense_weights("image", feature_shape[0], units, generator),
            "word_embedding": embedding_weights(vocab_size, config.embedding_size, generator),
            **lstm_weights("lstm", config.embedding_size, units, generator),
            **dense_weights("hidden", units, units, generator),
            **dense_weights("logits", units, vocab_size, generator),
        }
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c, each float32 [I, U], are 0; the photograph [I, U] stays fixed."""
        image = tf.nn.relu(self._linear(features, "image"))
        return (tf.zeros_like(image), tf.zeros_like(image)), image

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        h, c = state
        h, c = lstm_step(self._linear(self._words(word_ids), "lstm"), h, c, recurrent_kernel)
        hidden = tf.nn.relu(self._linear(h + repeat_rows(fixed, word_ids), "hidden"))
        return self._linear(hidden, "logits"), (h, c)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        config, dtype = self._config, self._compute_dtype
        features = dropout(repeat_rows(features, input_ids), config.image_dropout_rate, dropout_seed, 0)
        image = tf.nn.relu(self._linear(features, "image", dtype))  # [B, U]
        words = dropout(self._words(tf.transpose(input_ids)), config.word_dropout_rate, dropout_seed, 1)
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        read = lstm_sequence(self._linear(words, "lstm", dtype), recurrent_kernel, dtype)  # [T, B, U]
        outputs = tf.nn.relu(self._linear(read + image, "hidden", dtype))
        return tf.transpose(outputs, [1, 0, 2])
