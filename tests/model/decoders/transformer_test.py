"""The Transformer decoder beside Keras's own attention and normalisation, and what its search keeps."""

import keras
import numpy as np
import tensorflow as tf
from tiny_decoders import CAPTIONS_PER_IMAGE, IMAGES, PLACES, T, V, by_steps, tiny_decoder, tiny_inputs

from im2txt.configuration import TransformerConfig
from im2txt.model.decoders.transformer import TransformerDecoder


def keras_attention(w, name, size=8, num_heads=2):
    layer = keras.layers.MultiHeadAttention(num_heads, size // num_heads)
    layer.build((None, None, size), (None, None, size))
    heads = [num_heads, size // num_heads]
    values = []
    for part in ("query", "key", "value"):
        values += [w[f"{name}_{part}/kernel"].reshape(size, *heads), w[f"{name}_{part}/bias"].reshape(heads)]
    layer.set_weights([*values, w[f"{name}_output/kernel"].reshape(*heads, size), w[f"{name}_output/bias"]])
    return layer


def test_logits_equal_those_of_keras_layers():
    decoder = tiny_decoder("transformer")
    features, input_ids = tiny_inputs("transformer")
    w = {name: variable.numpy() for name, variable in decoder.variables.items()}

    def norm(x, name):
        layer = keras.layers.LayerNormalization(epsilon=1e-5)
        layer.build(x.shape)
        layer.set_weights([w[f"{name}/scale"], w[f"{name}/bias"]])
        return layer(x)

    def linear(x, name):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    size = w["word_embedding"].shape[1]
    positions = np.array(
        [
            [np.sin(t / 10_000 ** (2 * i / size)) for i in range(size // 2)]
            + [np.cos(t / 10_000 ** (2 * i / size)) for i in range(size // 2)]
            for t in range(T)
        ]
    )
    x = tf.constant(w["word_embedding"][input_ids] * np.sqrt(size) + positions, tf.float32)
    places = norm(linear(tf.repeat(features, CAPTIONS_PER_IMAGE, axis=0), "places"), "places_norm")
    for index in range(2):
        layer = f"layer_{index}"
        normed = norm(x, f"{layer}/self_norm")
        x += keras_attention(w, f"{layer}/self")(normed, normed, use_causal_mask=True)
        heard, weights = keras_attention(w, f"{layer}/cross")(
            norm(x, f"{layer}/cross_norm"), places, return_attention_scores=True
        )
        x += heard
        hidden = tf.nn.relu(linear(norm(x, f"{layer}/feedforward_norm"), f"{layer}/feedforward_in"))
        x += linear(hidden, f"{layer}/feedforward_out")
    outputs, attention = decoder.attend(features, input_ids)
    np.testing.assert_allclose(outputs, norm(x, "norm"), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(attention, tf.reduce_mean(weights, axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(attention, axis=2), np.ones([len(input_ids), T]), rtol=1e-5)


def test_a_search_keeps_keys_for_its_steps_and_no_more():
    decoder = tiny_decoder("transformer")
    features, input_ids = tiny_inputs("transformer")
    (position, words), places = decoder.start(features, 7)
    assert position.shape == [IMAGES]
    assert [part.shape for layer in words for part in layer] == [[IMAGES, 7, 8]] * 4
    assert [part.shape for layer in places for part in layer] == [[IMAGES, PLACES, 8]] * 4
    # Slots that are still empty are not looked at.
    logits, _ = decoder.step(input_ids[::2, 0], (position, words), places)
    filled = tf.nest.map_structure(lambda part: part + 9.0, words)
    np.testing.assert_allclose(decoder.step(input_ids[::2, 0], (position, filled), places)[0], logits, rtol=1e-5)
    np.testing.assert_allclose(by_steps(decoder, features, input_ids[::2])[:, 0], logits, rtol=1e-4, atol=1e-5)


def test_parameters_at_the_default_sizes():
    decoder = TransformerDecoder(TransformerConfig(), V, (PLACES, 1280), 0)
    size, inner = 512, 2048
    attention, norm = 4 * (size * size + size), 2 * size
    layer = 2 * attention + 3 * norm + size * inner + inner + inner * size + size
    expected = 1280 * size + size + norm + V * size + 2 * layer + norm + size * V + V
    assert sum(int(np.prod(v.shape)) for v in decoder.variables.values()) == expected
