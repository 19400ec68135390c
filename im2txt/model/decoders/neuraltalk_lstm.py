"""NeuralTalk's LSTM decoder."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import NeuralTalkLstmConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step
from im2txt.model.decoders.weights import WeightedDecoder, repeat_rows, uniform_weights


class NeuralTalkLstmDecoder(WeightedDecoder):
    """An LSTM that reads the photograph, `<S>` and the words; what it says after the photograph is not looked at.

    Weights, for H = hidden_size, uniform in +-initializer_scale (those of the LSTM's bias too, which NeuralTalk keeps
    in one matrix with the kernels: no gate is favoured), biases of photograph and output 0 unless said:

        image_embedding/kernel  [F, H]    no activation
        image_embedding/bias    [H]
        word_embedding          [V, H]
        lstm/kernel             [H, 4H]   gates i, f, c, o
        lstm/recurrent_kernel   [H, 4H]
        lstm/bias               [4H]
        logits/kernel           [H, V]
        logits/bias             [V]       log word frequency, which NeuralTalk always asks for

    In training, dropout falls on the photograph's embedding and the word vectors, and on the LSTM's outputs.

    Source: NeuralTalk (github.com/karpathy/neuraltalk, 2015); the model is Vinyals et al., arXiv 1411.4555. What it
    subtracts from the log frequencies so that the largest is 0 changes no probability.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: NeuralTalkLstmConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`."""
        size = config.hidden_size
        shapes = {
            "image_embedding/kernel": (*feature_shape, size),
            "word_embedding": (vocab_size, size),
            "lstm/kernel": (size, 4 * size),
            "lstm/recurrent_kernel": (size, 4 * size),
            "lstm/bias": (4 * size,),
            "logits/kernel": (size, vocab_size),
        }
        initial = uniform_weights(shapes, config.initializer_scale, seed) | {"image_embedding/bias": np.zeros(size)}
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c, each float32 [I, H], after the photograph."""
        zeros = tf.zeros([tf.shape(features)[0], self._config.hidden_size])
        return self._lstm_step(self._linear(features, "image_embedding"), zeros, zeros), ()

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        h, c = self._lstm_step(self._words(word_ids), *state)
        return self._linear(h, "logits"), (h, c)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        config, dtype = self._config, self._compute_dtype
        image_embedding = repeat_rows(self._linear(features, "image_embedding", dtype), input_ids)
        inputs = tf.concat([image_embedding[None], self._words(tf.transpose(input_ids))], axis=0)  # [1 + T, B, H]
        inputs = dropout(inputs, config.encoder_dropout_rate, dropout_seed, 0)
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        outputs = lstm_sequence(self._linear(inputs, "lstm", dtype), recurrent_kernel, dtype, config.tanh_cell)[1:]
        outputs = dropout(outputs, config.decoder_dropout_rate, dropout_seed, 1)
        return tf.transpose(outputs, [1, 0, 2])

    def _lstm_step(self, inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        return lstm_step(self._linear(inputs, "lstm"), h, c, recurrent_kernel, self._config.tanh_cell)
