"""Show, Attend and Tell's decoder: an LSTM that looks at the photograph's places anew before each word."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import SoftAttentionConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.lstm import lstm_step
from im2txt.model.decoders.weights import WeightedDecoder, uniform_weights


class SoftAttentionDecoder(WeightedDecoder):
    """An LSTM with soft, gated attention to the photograph's places a_1..a_P, and a deep output.

    With y the vector of the last word and h the LSTM's last output, before each word

        alpha = softmax_p(energy . tanh(keys(a_p) + query(h)))        where it looks, [P]
        z = sigmoid(gate(h)) * sum_p alpha_p a_p                      what it sees, [C]
        h', c' = LSTM(y and z, h, c)
        logits = logits(y + deep_h(h') + deep_z(z))

    and h and c begin as tanh(initial_h) and tanh(initial_c) of the mean place.

    Weights, for E = embedding_size, U = num_lstm_units, A = attention_size, all uniform in +-initializer_scale, biases
    0 unless said:

        initial_h/kernel, /bias, initial_c/kernel, /bias   [C, U], [U]
        keys/kernel, /bias       [C, A], [A]
        query/kernel             [U, A]
        energy/kernel            [A, 1]
        gate/kernel, /bias       [U, 1], [1]
        word_embedding           [V, E]
        lstm/kernel, /bias       [E, 4U], [4U]   gates i, f, c, o; 1 for the forget gate
        lstm_z/kernel            [C, 4U]
        lstm/recurrent_kernel    [U, 4U]
        deep_h/kernel            [U, E]
        deep_z/kernel            [C, E]
        logits/kernel, /bias     [E, V], [V]

    In training, dropout falls on the word vectors and on what the output layer sees.

    Attributes:
        attention_penalty: weight of the doubly stochastic penalty; see `losses.attention_penalties`.

    Source: Xu et al., "Show, Attend and Tell", arXiv 1502.03044, equations 1 to 7, 13 and 14.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (2,)

    def __init__(
        self,
        config: SoftAttentionConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`. `feature_shape` is (P, C)."""
        channels, units = feature_shape[1], config.num_lstm_units
        embedding_size, attention_size = config.embedding_size, config.attention_size
        shapes = {
            "initial_h/kernel": (channels, units),
            "initial_c/kernel": (channels, units),
            "keys/kernel": (channels, attention_size),
            "query/kernel": (units, attention_size),
            "energy/kernel": (attention_size, 1),
            "gate/kernel": (units, 1),
            "word_embedding": (vocab_size, embedding_size),
            "lstm/kernel": (embedding_size, 4 * units),
            "lstm_z/kernel": (channels, 4 * units),
            "lstm/recurrent_kernel": (units, 4 * units),
            "deep_h/kernel": (units, embedding_size),
            "deep_z/kernel": (channels, embedding_size),
            "logits/kernel": (embedding_size, vocab_size),
        }
        initial = uniform_weights(shapes, config.initializer_scale, seed)
        sizes = {"initial_h": units, "initial_c": units, "keys": attention_size, "gate": 1}
        initial |= {f"{name}/bias": np.zeros(size) for name, size in sizes.items()}
        initial["lstm/bias"] = np.repeat([0.0, 1.0, 0.0, 0.0], units)
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config
        self.attention_penalty = config.attention_penalty

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c, each float32 [I, U]; the places and their keys stay fixed."""
        return self._initial_state(features), (features, self._linear(features, "keys"))

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        h, c = state
        words = self._words(word_ids)
        seen, _ = self._look(h, fixed, tf.float32)
        h, c = self._lstm_step(self._linear(words, "lstm"), seen, h, c, tf.float32)
        return self._linear(self._deep_outputs(words, h, seen, tf.float32), "logits"), (h, c)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        return self.attend(features, input_ids, dropout_seed)[0]

    def attend(
        self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `AttendingDecoder.attend`."""
        config, dtype = self._config, self._compute_dtype
        words = dropout(self._words(tf.transpose(input_ids)), config.input_dropout_rate, dropout_seed, 0)  # [T, B, E]
        fixed = features, self._linear(features, "keys", dtype)
        captions_per_image = tf.shape(input_ids)[0] // tf.shape(features)[0]
        h, c = (tf.repeat(part, captions_per_image, axis=0) for part in self._initial_state(features))
        nothing = tf.zeros([tf.shape(h)[0], features.shape[-1]]), tf.zeros([tf.shape(h)[0], tf.shape(features)[1]])

        def advance(before: tuple[tf.Tensor, ...], projected: tf.Tensor) -> tuple[tf.Tensor, ...]:
            h, c, *_ = before
            seen, attention = self._look(h, fixed, dtype)
            h, c = self._lstm_step(projected, seen, h, c, dtype)
            return h, c, seen, attention

        h, _, seen, attention = tf.scan(advance, self._linear(words, "lstm", dtype), (h, c, *nothing))
        outputs = self._deep_outputs(words, h, seen, dtype)
        outputs = dropout(outputs, config.output_dropout_rate, dropout_seed, 1)
        return tf.transpose(outputs, [1, 0, 2]), tf.transpose(attention, [1, 0, 2])

    def _initial_state(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean = tf.reduce_mean(features, axis=1)
        return tf.tanh(self._linear(mean, "initial_h")), tf.tanh(self._linear(mean, "initial_c"))

    def _look(self, h: tf.Tensor, fixed: Fixed, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what captions with outputs h [B, U] see [B, C], and where they look [B, P]."""
        places, keys = fixed  # [I, P, C], [I, P, A]
        num_images, num_places = tf.shape(places)[0], tf.shape(places)[1]
        queries = tf.reshape(self._linear(h, "query", dtype), [num_images, -1, 1, keys.shape[-1]])  # [I, K, 1, A]
        energies = self._linear(tf.tanh(keys[:, tf.newaxis] + queries), "energy", dtype)  # [I, K, P, 1]
        attention = tf.nn.softmax(energies[..., 0])  # [I, K, P]
        seen = tf.reshape(tf.matmul(attention, places), [-1, places.shape[-1]])  # [B, C]
        gated = tf.sigmoid(self._linear(h, "gate")) * seen
        return gated, tf.reshape(attention, [-1, num_places])

    def _lstm_step(
        self, projected: tf.Tensor, seen: tf.Tensor, h: tf.Tensor, c: tf.Tensor, dtype: tf.DType
    ) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent_kernel = tf.cast(self._variables["lstm/recurrent_kernel"], dtype)
        return lstm_step(projected + self._linear(seen, "lstm_z", dtype), h, c, recurrent_kernel)

    def _deep_outputs(self, words: tf.Tensor, h: tf.Tensor, seen: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        return words + self._linear(h, "deep_h", dtype) + self._linear(seen, "deep_z", dtype)
