"""Show and Tell's decoder: an LSTM that sees the photograph first and then the words."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import ShowAndTellConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step
from im2txt.model.decoders.weights import WeightedDecoder, repeat_rows, uniform_weights


class ShowAndTellDecoder(WeightedDecoder):
    """An LSTM whose first input is the photograph and whose next ones are the words.

    Weights, for E = embedding_size, U = num_lstm_units, all uniform in +-initializer_scale, biases 0 unless said:

        image_embedding/kernel  [F, E]   no bias, no activation
        word_embedding          [V, E]
        lstm/kernel             [E, 4U]  gates i, f, c, o
        lstm/recurrent_kernel   [U, 4U]
        lstm/bias               [4U]     1 for the forget gate
        logits/kernel           [U, V]
        logits/bias             [V]      log word frequency where asked for

    With `image_input="every_step"` the photograph's embedding is also added to that of every word: it then need not be
    carried through the state, which an encoder that starts from random weights takes long to learn.

    In training, dropout falls on the photograph's features, and on the LSTM's inputs (the photograph's embedding too)
    and outputs with a fresh mask for every step; the state passes whole.

    Source: Vinyals et al., Show and Tell, arXiv 1411.4555, with the biases and the cell of Google's im2txt.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: ShowAndTellConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights.

        Args:
            config: sizes and rates.
            vocab_size: V.
            feature_shape: (F,).
            seed: fixes the initial weights.
            word_counts: int [V], occurrences as a target; used if config.log_frequency_bias.
            compute_dtype: dtype of the matrix products of `unroll` and `logits`; `step` is always float32.

        Raises:
            ValueError: if config.log_frequency_bias wants counts and there are none.
        """
        units, embedding_size = config.num_lstm_units, config.embedding_size
        shapes = {
            "image_embedding/kernel": (*feature_shape, embedding_size),
            "word_embedding": (vocab_size, embedding_size),
            "lstm/kernel": (embedding_size, 4 * units),
            "lstm/recurrent_kernel": (units, 4 * units),
            "logits/kernel": (units, vocab_size),
        }
        initial = uniform_weights(shapes, config.initializer_scale, seed)
        initial["lstm/bias"] = np.repeat([0.0, 1.0, 0.0, 0.0], units)
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c, each float32 [I, U], after the photograph's step from the zero state.

        With `image_input="every_step"` the embedding [I, E] that is added to the words stays fixed.
        """
        embedding = self._linear(features, "image_embedding")
        zeros = tf.zeros([tf.shape(features)[0], self._config.num_lstm_units])
        state = self._lstm_step(embedding, zeros, zeros)
        return state, (embedding,) if self._config.image_input == "every_step" else ()

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        h, c = state
        inputs = tf.add_n([self._words(word_ids), *(repeat_rows(embedding, word_ids) for embedding in fixed)])
        h, c = self._lstm_step(inputs, h, c)
        return self._linear(h, "logits"), (h, c)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        config, dtype = self._config, self._compute_dtype
        features = dropout(repeat_rows(features, input_ids), config.image_dropout_rate, dropout_seed, 0)
        image_embedding = self._linear(features, "image_embedding", dtype)
        # Time comes first within: each step of the recurrence then reads one contiguous block.
        word_embeddings = self._words(tf.transpose(input_ids))  # [T, B, E]
        if config.image_input == "every_step":
            word_embeddings += image_embedding
        inputs = tf.concat([image_embedding[None], word_embeddings], axis=0)  # [1 + T, B, E]
        inputs = dropout(inputs, config.input_dropout_rate, dropout_seed, 1)
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        outputs = lstm_sequence(self._linear(inputs, "lstm", dtype), recurrent_kernel, dtype)[1:]  # [T, B, U]
        outputs = dropout(outputs, config.output_dropout_rate, dropout_seed, 2)
        return tf.transpose(outputs, [1, 0, 2])

    def _lstm_step(self, inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        return lstm_step(self._linear(inputs, "lstm"), h, c, recurrent_kernel)
