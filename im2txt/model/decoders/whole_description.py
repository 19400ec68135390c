"""The tutorial's whole-description model: from the photograph to all words at once."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import WholeDescriptionConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step
from im2txt.model.decoders.weights import WeightedDecoder, dense_weights, lstm_weights, repeat_rows


class WholeDescriptionDecoder(WeightedDecoder):
    """An LSTM that is fed the photograph's embedding for every word, and never a word.

    What stands in each place follows from the photograph alone: a caption's words do not know of each other, and
    `input_ids` say only how many there are. Search over it finds each place's most probable words by themselves.

    Weights, for I = image_embedding_size and U = num_lstm_units, with the first values that Keras gives such layers:

        image/kernel, /bias      [F, I], [I]   rectified
        lstm/kernel, /bias       [I, 4U], [4U]
        lstm/recurrent_kernel    [U, 4U]
        logits/kernel, /bias     [U, V], [V]

    In training, dropout falls on the photograph's features.

    Source: Brownlee, "How to Prepare a Photo Caption Dataset for Training a Deep Learning Model", which prepares the
    data of such a model: one row of word ids per photograph and no input but the photograph. It leaves the network
    open; this is the plain one of its kind.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: WholeDescriptionConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`."""
        generator = np.random.default_rng(seed)
        initial = {
            **dense_weights("image", feature_shape[0], config.image_embedding_size, generator),
            **lstm_weights("lstm", config.image_embedding_size, config.num_lstm_units, generator),
            **dense_weights("logits", config.num_lstm_units, vocab_size, generator),
        }
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c, each float32 [I, U], are 0; what the LSTM is fed [I, 4U] stays fixed."""
        projected = self._linear(tf.nn.relu(self._linear(features, "image")), "lstm")
        zeros = tf.zeros([tf.shape(features)[0], self._config.num_lstm_units])
        return (zeros, zeros), projected

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`; the word makes no difference."""
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        h, c = state
        h, c = lstm_step(repeat_rows(fixed, word_ids), h, c, recurrent_kernel)
        return self._linear(h, "logits"), (h, c)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`; only the shape of `input_ids` makes a difference."""
        dtype = self._compute_dtype
        features = dropout(repeat_rows(features, input_ids), self._config.image_dropout_rate, dropout_seed, 0)
        projected = self._linear(tf.nn.relu(self._linear(features, "image", dtype)), "lstm", dtype)  # [B, 4U]
        projected = tf.repeat(projected[None], tf.shape(input_ids)[1], axis=0)  # [T, B, 4U]
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        return tf.transpose(lstm_sequence(projected, recurrent_kernel, dtype), [1, 0, 2])
