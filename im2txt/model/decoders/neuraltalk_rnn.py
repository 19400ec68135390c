"""NeuralTalk's multimodal RNN decoder."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import NeuralTalkRnnConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.weights import WeightedDecoder, repeat_rows, uniform_weights


class NeuralTalkRnnDecoder(WeightedDecoder):
    """A plain RNN with rectified units that sees the photograph with the words.

    With p the photograph's embedding and x a word's vector,  h' = relu(p + hidden(x) + h recurrent), where p is 0 from
    the second word on with `image_input="first"`; with `relu_encoders` p and hidden(x) are rectified first.

    Weights, for E = embedding_size, H = hidden_size, uniform in +-initializer_scale, biases 0 unless said:

        image_embedding/kernel, /bias  [F, H], [H]
        word_embedding                 [V, E]
        hidden/kernel, /bias           [E, H], [H]
        recurrent/kernel, /bias        [H, H], [H]
        logits/kernel                  [H, V]   uniform in a tenth of the range
        logits/bias                    [V]      log word frequency, which NeuralTalk always asks for

    In training, dropout falls on the photograph's embedding and the word vectors, and on the outputs h.

    Source: NeuralTalk (github.com/karpathy/neuraltalk, 2015); Karpathy & Fei-Fei, arXiv 1412.2306.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (1,)

    def __init__(
        self,
        config: NeuralTalkRnnConfig,
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
            "word_embedding": (vocab_size, config.embedding_size),
            "hidden/kernel": (config.embedding_size, size),
            "recurrent/kernel": (size, size),
            "logits/kernel": (size, vocab_size),
        }
        initial = uniform_weights(shapes, config.initializer_scale, seed)
        initial["logits/kernel"] *= 0.1
        initial |= {f"{name}/bias": np.zeros(size) for name in ("image_embedding", "hidden", "recurrent")}
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`: h float32 [I, H] is 0.

        The photograph's embedding stays fixed, or belongs to the state where only the first word takes it.
        """
        image_embedding = self._rectified(self._linear(features, "image_embedding"))
        h = tf.zeros_like(image_embedding)
        return ((h,), (image_embedding,)) if self._config.image_input == "every_step" else ((h, image_embedding), ())

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        h, *once = state
        images = [*once, *(repeat_rows(embedding, word_ids) for embedding in fixed)]
        inputs = self._rectified(self._linear(self._words(word_ids), "hidden"))
        h = tf.nn.relu(tf.add_n([inputs, *images, self._linear(h, "recurrent")]))
        return self._linear(h, "logits"), (h, *map(tf.zeros_like, once))

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        config, dtype = self._config, self._compute_dtype
        image_embedding = repeat_rows(self._rectified(self._linear(features, "image_embedding", dtype)), input_ids)
        image_embedding = dropout(image_embedding, config.encoder_dropout_rate, dropout_seed, 0)
        words = dropout(self._words(tf.transpose(input_ids)), config.encoder_dropout_rate, dropout_seed, 1)
        inputs = self._rectified(self._linear(words, "hidden", dtype))  # [T, B, H]
        if config.image_input == "every_step":
            inputs += image_embedding
        else:
            inputs = tf.concat([inputs[:1] + image_embedding, inputs[1:]], axis=0)
        outputs = tf.scan(
            lambda h, x: tf.nn.relu(x + self._linear(h, "recurrent", dtype)), inputs, tf.zeros_like(image_embedding)
        )
        outputs = dropout(outputs, config.decoder_dropout_rate, dropout_seed, 2)
        return tf.transpose(outputs, [1, 0, 2])

    def _rectified(self, embedding: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(embedding) if self._config.relu_encoders else embedding
