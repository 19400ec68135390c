"""A Transformer decoder over the photograph's places."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import tensorflow as tf

from im2txt.configuration import TransformerConfig
from im2txt.model.decoders.caption_decoder import Fixed, State, dropout
from im2txt.model.decoders.weights import WeightedDecoder, dense_weights

_STREAMS_PER_LAYER = 3  # Of dropout: one for each part of a layer.
_NEVER = -1e9


class TransformerDecoder(WeightedDecoder):
    """Layers of self-attention, attention to the photograph's places, and a feed-forward part.

    Each part's input is normalised, and its output added to what came in. Words' vectors are multiplied by the root of
    the model size and get sinusoids of their positions. A search keeps the keys and values of the words so far, and
    asks for those of the places once.

    Weights, for D = model_size and H = feedforward_size; kernels in Glorot's uniform range, word vectors normal with
    variance 1/D, biases 0, scales 1:

        places/kernel, /bias, places_norm/...               [C, D], [D]
        word_embedding                                      [V, D]
        layer_N/self_norm/scale, /bias                      [D]          and likewise cross_norm, feedforward_norm
        layer_N/self_query/kernel, /bias                    [D, D], [D]  and likewise self_key, self_value, self_output
        layer_N/cross_query/kernel, /bias                   [D, D], [D]  and likewise cross_key, cross_value, ...
        layer_N/feedforward_in/kernel, /bias                [D, H], [H]  rectified
        layer_N/feedforward_out/kernel, /bias               [H, D], [D]
        norm/scale, /bias                                   [D]          before the output
        logits/kernel, /bias                                [D, V], [V]

    In training, dropout falls on the words' vectors and on each part's output.

    Attributes:
        attention_penalty: 0; where a Transformer looks is not penalised.

    Source: Vaswani et al., "Attention is all you need", arXiv 1706.03762; normalised before each part after Xiong et
    al., arXiv 2002.04745.
    """

    feature_ranks: ClassVar[tuple[int, ...]] = (2,)
    attention_penalty = 0.0

    def __init__(
        self,
        config: TransformerConfig,
        vocab_size: int,
        feature_shape: tuple[int, ...],
        seed: int,
        word_counts: np.ndarray | None = None,
        compute_dtype: tf.DType = tf.float32,
    ):
        """Creates the weights; see `ShowAndTellDecoder`. `feature_shape` is (P, C)."""
        size, inner, generator = config.model_size, config.feedforward_size, np.random.default_rng(seed)
        initial = {
            **dense_weights("places", feature_shape[1], size, generator),
            **_norm_weights("places_norm", size),
            "word_embedding": generator.normal(0.0, size**-0.5, (vocab_size, size)),
            **_norm_weights("norm", size),
            **dense_weights("logits", size, vocab_size, generator),
        }
        for layer in (f"layer_{index}" for index in range(config.num_layers)):
            for kind in ("self", "cross"):
                initial |= _norm_weights(f"{layer}/{kind}_norm", size)
                for part in ("query", "key", "value", "output"):
                    initial |= dense_weights(f"{layer}/{kind}_{part}", size, size, generator)
            initial |= _norm_weights(f"{layer}/feedforward_norm", size)
            initial |= dense_weights(f"{layer}/feedforward_in", size, inner, generator)
            initial |= dense_weights(f"{layer}/feedforward_out", inner, size, generator)
        super().__init__(config, vocab_size, initial, word_counts, compute_dtype)
        self._config = config
        self._layers = [f"layer_{index}" for index in range(config.num_layers)]

    def start(self, features: tf.Tensor, num_steps: int | tf.Tensor) -> tuple[State, Fixed]:
        """See `CaptionDecoder.start`.

        The state: the position int32 [I], and of each layer the words' keys and values, each [I, num_steps, D]. What
        stays fixed: of each layer the places' keys and values, each [I, P, D].
        """
        num_images = tf.shape(features)[0]
        empty = tf.zeros([num_images, num_steps, self._config.model_size])
        state = tf.zeros([num_images], tf.int32), tuple((empty, empty) for _ in self._layers)
        return state, self._keys_of_places(features, tf.float32)

    def step(self, word_ids: tf.Tensor, state: State, fixed: Fixed) -> tuple[tf.Tensor, State]:
        """See `CaptionDecoder.step`."""
        position, before = state
        slots = tf.range(tf.shape(before[0][0])[1])
        is_here = (slots == position[:, tf.newaxis])[..., tf.newaxis]  # [B, L, 1]
        is_hidden = (slots > position[:, tf.newaxis])[:, tf.newaxis, tf.newaxis]  # [B, 1, 1, L]
        x, now = self._embedded(word_ids[:, tf.newaxis], position[:, tf.newaxis]), []  # [B, 1, D]
        for layer, past, places in zip(self._layers, before, fixed, strict=True):
            normed = self._norm(x, f"{layer}/self_norm")
            new = (self._linear(normed, f"{layer}/self_{part}") for part in ("key", "value"))
            known = tuple(tf.where(is_here, added, old) for added, old in zip(new, past, strict=True))
            x, _ = self._layer(layer, x, normed, known, is_hidden, places, tf.float32)
            now.append(known)
        return self._linear(self._norm(x[:, 0], "norm"), "logits"), (position + 1, tuple(now))

    def unroll(self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `CaptionDecoder.unroll`."""
        return self.attend(features, input_ids, dropout_seed)[0]

    def attend(
        self, features: tf.Tensor, input_ids: tf.Tensor, dropout_seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `AttendingDecoder.attend`; of the last layer, the mean of its heads."""
        dtype, positions = self._compute_dtype, tf.range(tf.shape(input_ids)[1])
        is_hidden = positions > positions[:, tf.newaxis]  # [T, T]
        x = dropout(self._embedded(input_ids, positions), self._config.dropout_rate, dropout_seed, 0)  # [B, T, D]
        for index, places in enumerate(self._keys_of_places(features, dtype)):
            layer = self._layers[index]
            normed = self._norm(x, f"{layer}/self_norm")
            known = tuple(self._linear(normed, f"{layer}/self_{part}", dtype) for part in ("key", "value"))
            first_stream = 1 + index * _STREAMS_PER_LAYER
            x, attention = self._layer(layer, x, normed, known, is_hidden, places, dtype, dropout_seed, first_stream)
        num_places = tf.shape(features)[1]
        attention = tf.reduce_mean(attention, axis=1)  # [I, K * T, P]
        return self._norm(x, "norm"), tf.reshape(attention, tf.concat([tf.shape(input_ids), [num_places]], 0))

    def _embedded(self, word_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Returns the words' vectors float32 [B, Q, D] with their positions [Q] or [B, Q]."""
        size = self._config.model_size
        frequencies = tf.exp(tf.range(0, size, 2, tf.float32) * (-math.log(10_000.0) / size))
        angles = tf.cast(positions, tf.float32)[..., tf.newaxis] * frequencies
        return self._words(word_ids) * math.sqrt(size) + tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)

    def _keys_of_places(self, features: tf.Tensor, dtype: tf.DType) -> tuple[tuple[tf.Tensor, ...], ...]:
        places = self._norm(self._linear(features, "places", dtype), "places_norm")
        return tuple(
            tuple(self._linear(places, f"{layer}/cross_{part}", dtype) for part in ("key", "value"))
            for layer in self._layers
        )

    def _layer(
        self,
        layer: str,
        x: tf.Tensor,
        normed: tf.Tensor,
        known: tuple[tf.Tensor, ...],
        is_hidden: tf.Tensor,
        places: tuple[tf.Tensor, ...],
        dtype: tf.DType,
        dropout_seed: tf.Tensor | None = None,
        first_stream: int = 0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Passes words through a layer.

        Args:
            layer: its name.
            x: float32 [B, Q, D].
            normed: x normalised for self-attention.
            known: keys and values [B, N, D] of the words to attend to.
            is_hidden: bool, broadcast to [B, heads, Q, N]: which of them a word does not see.
            places: keys and values [I, P, D].
            dtype: of the matrix products.
            dropout_seed: see `CaptionDecoder.unroll`.
            first_stream: of the layer's dropout.

        Returns:
            The layer's output [B, Q, D], and its attention to the places [I, heads, B / I * Q, P].
        """

        def dropped(part: tf.Tensor, stream: int) -> tf.Tensor:
            return dropout(part, self._config.dropout_rate, dropout_seed, first_stream + stream)

        heard, _ = self._attention(self._linear(normed, f"{layer}/self_query", dtype), known, dtype, is_hidden)
        x += dropped(self._linear(heard, f"{layer}/self_output", dtype), 0)
        queries = self._linear(self._norm(x, f"{layer}/cross_norm"), f"{layer}/cross_query", dtype)
        # All captions of a photograph ask it together.
        queries = tf.reshape(queries, [tf.shape(places[0])[0], -1, self._config.model_size])
        seen, attention = self._attention(queries, places, dtype)
        seen = tf.reshape(seen, tf.shape(x))
        x += dropped(self._linear(seen, f"{layer}/cross_output", dtype), 1)
        hidden = tf.nn.relu(self._linear(self._norm(x, f"{layer}/feedforward_norm"), f"{layer}/feedforward_in", dtype))
        return x + dropped(self._linear(hidden, f"{layer}/feedforward_out", dtype), 2), attention

    def _attention(
        self,
        queries: tf.Tensor,
        known: tuple[tf.Tensor, ...],
        dtype: tf.DType,
        is_hidden: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Attention of [R, Q, D] to keys and values [R, N, D] with several heads: [R, Q, D], weights [R, H, Q, N]."""
        keys, values = known
        num_heads, size = self._config.num_heads, self._config.model_size

        def by_head(x: tf.Tensor) -> tf.Tensor:  # [R, heads, N, D / heads]
            x = tf.reshape(tf.cast(x, dtype), [tf.shape(x)[0], -1, num_heads, size // num_heads])
            return tf.transpose(x, [0, 2, 1, 3])

        scores = tf.cast(tf.matmul(by_head(queries), by_head(keys), transpose_b=True), tf.float32)
        scores *= (size // num_heads) ** -0.5
        if is_hidden is not None:
            scores = tf.where(is_hidden, _NEVER, scores)
        attention = tf.nn.softmax(scores)
        heard = tf.cast(tf.matmul(tf.cast(attention, dtype), by_head(values)), tf.float32)
        return tf.reshape(tf.transpose(heard, [0, 2, 1, 3]), tf.shape(queries)), attention

    def _norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Layer normalisation over the last dimension."""
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        scale, bias = self._variables[f"{name}/scale"], self._variables[f"{name}/bias"]
        return (x - mean) * tf.math.rsqrt(variance + 1e-5) * scale + bias


def _norm_weights(name: str, size: int) -> dict[str, np.ndarray]:
    return {f"{name}/scale": np.ones(size), f"{name}/bias": np.zeros(size)}
