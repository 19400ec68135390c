"""Show and Tell's decoder: an LSTM that sees the photograph first and then the words."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from im2txt.configuration import ShowAndTellConfig
from im2txt.model.decoders.caption_decoder import dropout, log_frequencies
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step


class ShowAndTellDecoder(tf.Module):
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

    def __init__(
        self,
        config: ShowAndTellConfig,
        vocab_size: int,
        feature_size: int,
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights.

        Args:
            config: sizes and rates.
            vocab_size: V.
            feature_size: F.
            seed: fixes the initial weights.
            word_counts: int [V], occurrences as a target; used if config.log_frequency_bias.
            compute_dtype: dtype of the matrix products of `unroll` and `logits`; `step` is always float32.

        Raises:
            ValueError: if config.log_frequency_bias wants counts and there are none.
        """
        super().__init__(name="decoder")
        self._config = config
        self.vocab_size = vocab_size
        self._compute_dtype = compute_dtype
        units, embedding_size = config.num_lstm_units, config.embedding_size
        shapes = {
            "image_embedding/kernel": (feature_size, embedding_size),
            "word_embedding": (vocab_size, embedding_size),
            "lstm/kernel": (embedding_size, 4 * units),
            "lstm/recurrent_kernel": (units, 4 * units),
            "logits/kernel": (units, vocab_size),
        }
        generator = np.random.default_rng(seed)
        initial = {
            name: generator.uniform(-config.initializer_scale, config.initializer_scale, shape)
            for name, shape in shapes.items()
        }
        initial["lstm/bias"] = np.repeat([0.0, 1.0, 0.0, 0.0], units)
        initial["logits/bias"] = np.zeros(vocab_size)
        if config.log_frequency_bias:
            if word_counts is None:
                raise ValueError("decoder.log_frequency_bias=True needs the vocabulary's word counts.")
            initial["logits/bias"] = log_frequencies(word_counts)
        self._variables = {
            name: tf.Variable(value.astype(np.float32), name=name) for name, value in sorted(initial.items())
        }

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All weights by stable name."""
        return dict(self._variables)

    def initial_state(self, features: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns h and c, each float32 [B, U], after the photograph's step from the zero state.

        With `image_input="every_step"` the embedding [B, E] that is added to the words comes third.
        """
        embedding = tf.matmul(features, self._variables["image_embedding/kernel"])
        zeros = tf.zeros([tf.shape(features)[0], self._config.num_lstm_units])
        state = self._lstm_step(embedding, zeros, zeros)
        return (*state, embedding) if self._config.image_input == "every_step" else state

    def step(self, word_ids: tf.Tensor, state: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """See `CaptionDecoder.step`."""
        h, c, *image_embedding = state
        inputs = tf.add_n([tf.gather(self._variables["word_embedding"], word_ids), *image_embedding])
        h, c = self._lstm_step(inputs, h, c)
        logits = tf.matmul(h, self._variables["logits/kernel"]) + self._variables["logits/bias"]
        return logits, (h, c, *image_embedding)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        config = self._config
        features = dropout(features, config.image_dropout_rate, dropout_seed, 0)
        image_embedding = self._matmul(features, self._variables["image_embedding/kernel"])
        # Time comes first within: each step of the recurrence then reads one contiguous block.
        word_embeddings = tf.gather(self._variables["word_embedding"], tf.transpose(input_ids))  # [T, B, E]
        if self._config.image_input == "every_step":
            word_embeddings += image_embedding
        inputs = tf.concat([image_embedding[None], word_embeddings], axis=0)  # [1 + T, B, E]
        inputs = dropout(inputs, config.input_dropout_rate, dropout_seed, 1)
        projected = self._matmul(inputs, self._variables["lstm/kernel"]) + self._variables["lstm/bias"]
        recurrent_kernel = tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"])
        outputs = lstm_sequence(projected, recurrent_kernel, self._compute_dtype)[1:]  # [T, B, U]
        outputs = dropout(outputs, config.output_dropout_rate, dropout_seed, 2)
        return tf.transpose(outputs, [1, 0, 2])

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """See `CaptionDecoder.logits`."""
        return self._matmul(outputs, self._variables["logits/kernel"]) + self._variables["logits/bias"]

    def _lstm_step(self, inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        projected = tf.matmul(inputs, self._variables["lstm/kernel"]) + self._variables["lstm/bias"]
        return lstm_step(projected, h, c, tf.convert_to_tensor(self._variables["lstm/recurrent_kernel"]))

    def _matmul(self, x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
        """[..., I] x [I, O] in the compute dtype, as one product over all rows; float32 result."""
        rows = tf.cast(tf.reshape(x, [-1, kernel.shape[0]]), self._compute_dtype)
        product = tf.cast(tf.matmul(rows, tf.cast(kernel, self._compute_dtype)), tf.float32)
        return tf.reshape(product, tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], 0))
