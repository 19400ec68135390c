"""The tutorial's word-by-word model: two LSTMs, the upper one beside the photograph."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import WordByWordConfig
from im2txt.model.decoders.caption_decoder import Fixed, State
from im2txt.model.decoders.lstm import lstm_sequence, lstm_step
from im2txt.model.decoders.weights import (
    WeightedDecoder,
    dense_weights,
    embedding_weights,
    lstm_weights,
    repeat_rows,
)


class WordByWordDecoder(WeightedDecoder):
    """An LSTM reads the words, a second one reads its dense outputs, each joined to the photograph's.

    Weights, for I = image_embedding_size, E = embedding_size, L = num_language_units and U = num_lstm_units, with the
    first values that Keras gives such layers:

        image/kernel, /bias                 [F, I], [I]   rectified
        word_embedding                      [V, E]
        language/kernel, /bias              [E, 4L], [4L]
        language/recurrent_kernel           [L, 4L]
        words/kernel, /bias                 [L, I], [I]   rectified
        lstm/kernel, /bias                  [2I, 4U], [4U]
        lstm/recurrent_kernel               [U, 4U]
        hidden/kernel, /bias                [U, U], [U]   rectified
        logits/kernel, /bias                [U, V], [V]

    Nothing is dropped. All words of a caption are predicted in one pass; see `MergeDecoder`.

    Source: Brownlee, "How to Use Small Experiments to Develop a Caption Generation Model in Keras": its baseline, there
    over the largest of each of VGG16's 512 channels (`encoder.pooling=max`).
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: WordByWordConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`."""
        generator = np.random.default_rng(seed)
        image, language, units = config.image_embedding_size, config.num_language_units, config.num_lstm_units
        initial = {
            **dense_weights("image", feature_shape[0], image, generator),
            "word_embedding": embedding_weights(vocab_size, config.embedding_size, generator),
            **lstm_weights("language", config.embedding_size, language, generator),
            **dense_weights("words", language, image, generator),
            **lstm_weights("lstm", 2 * image, units, generator),
            **dense_weights("hidden", units, units, generator),
            **dense_weights("logits", units, vocab_size, generator),
        }
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h and c of both LSTMs are 0; the photograph [I, I'] stays fixed."""
        num_images = tf.shape(features)[0]
        sizes = (self._config.num_language_units, self._config.num_lstm_units)
        state = tuple(tf.zeros([num_images, size]) for size in sizes for _ in range(2))
        return state, tf.nn.relu(self._linear(features, "image"))

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        language = self._lstm_step("language", self._words(word_ids), *state[:2])
        words = tf.nn.relu(self._linear(language[0], "words"))
        joined = self._lstm_step("lstm", tf.concat([repeat_rows(fixed, word_ids), words], -1), *state[2:])
        return self._linear(tf.nn.relu(self._linear(joined[0], "hidden")), "logits"), (*language, *joined)

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        dtype = self._compute_dtype
        image = repeat_rows(tf.nn.relu(self._linear(features, "image", dtype)), input_ids)  # [B, I]
        read = self._lstm_sequence("language", self._words(tf.transpose(input_ids)))  # [T, B, L]
        words = tf.nn.relu(self._linear(read, "words", dtype))  # [T, B, I]
        image = tf.broadcast_to(image, tf.shape(words))
        outputs = tf.nn.relu(self._linear(self._lstm_sequence("lstm", tf.concat([image, words], -1)), "hidden", dtype))
        return tf.transpose(outputs, [1, 0, 2])

    def _lstm_step(self, name: str, inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent_kernel = tf.convert_to_tensor(self._variables[f"{name}/recurrent_kernel"])
        return lstm_step(self._linear(inputs, name), h, c, recurrent_kernel)

    def _lstm_sequence(self, name: str, inputs: tf.Tensor) -> tf.Tensor:
        recurrent_kernel = tf.convert_to_tensor(self._variables[f"{name}/recurrent_kernel"])
        return lstm_sequence(self._linear(inputs, name, self._compute_dtype), recurrent_kernel, self._compute_dtype)
