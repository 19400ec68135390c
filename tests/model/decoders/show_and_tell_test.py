"""Show and Tell's decoder: shapes, equality of its two ways to run, causality, dropout."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import ShowAndTellConfig
from im2txt.model.decoders.caption_decoder import log_frequencies
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder

V, F, E, U, B, T = 13, 6, 4, 5, 2, 3
PLAIN = ShowAndTellConfig(embedding_size=E, num_lstm_units=U, input_dropout_rate=0.0, output_dropout_rate=0.0)


@pytest.fixture
def inputs():
    generator = np.random.default_rng(0)
    features = tf.constant(generator.normal(size=(B, F)).astype(np.float32))
    return features, tf.constant(generator.integers(0, V, (B, T)), tf.int32)


def test_parameter_counts_are_those_of_the_original():
    decoder = ShowAndTellDecoder(ShowAndTellConfig(), vocab_size=12_000, feature_shape=(2048,), seed=0)
    sizes = {name: int(np.prod(v.shape)) for name, v in decoder.variables.items()}
    assert sizes["image_embedding/kernel"] == 1_048_576
    assert sizes["word_embedding"] == 6_144_000
    assert sizes["lstm/kernel"] + sizes["lstm/recurrent_kernel"] + sizes["lstm/bias"] == 2_099_200
    assert sizes["logits/kernel"] + sizes["logits/bias"] == 6_156_000


def test_weights_start_in_the_given_range_and_repeat_with_the_seed():
    first, again, other = (ShowAndTellDecoder(PLAIN, V, (F,), seed=seed).variables for seed in (1, 1, 2))
    for name, variable in first.items():
        np.testing.assert_array_equal(variable, again[name])
        if name == "lstm/bias":
            np.testing.assert_array_equal(variable, [0] * U + [1] * U + [0] * 2 * U)
        elif name == "logits/bias":
            np.testing.assert_array_equal(variable, np.zeros(V))
        else:
            assert 0.04 < np.abs(variable).max() <= 0.08
            assert np.abs(variable - other[name]).max() > 0


def test_unroll_equals_numpy(inputs):
    features, input_ids = inputs
    decoder = ShowAndTellDecoder(PLAIN, V, (F,), seed=3)
    w = {name: v.numpy() for name, v in decoder.variables.items()}

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    steps = [features.numpy() @ w["image_embedding/kernel"]]
    steps += [w["word_embedding"][input_ids.numpy()[:, t]] for t in range(T)]
    h, c, outputs = np.zeros((B, U)), np.zeros((B, U)), []
    for x in steps:
        z = x @ w["lstm/kernel"] + h @ w["lstm/recurrent_kernel"] + w["lstm/bias"]
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    np.testing.assert_allclose(decoder.unroll(features, input_ids), np.stack(outputs[1:], 1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("image_input", ["first", "every_step"])
def test_unroll_equals_repeated_step(inputs, image_input):
    features, input_ids = inputs
    decoder = ShowAndTellDecoder(dataclasses.replace(PLAIN, image_input=image_input), V, (F,), seed=3)
    outputs = decoder.unroll(features, input_ids)
    state, fixed = decoder.start(features, T)
    for t in range(T):
        logits, state = decoder.step(input_ids[:, t], state, fixed)
        np.testing.assert_allclose(decoder.logits(outputs[:, t]), logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("image_input", ["first", "every_step"])
def test_captions_of_one_photograph_share_it_in_training_and_search(inputs, image_input):
    features, input_ids = inputs
    input_ids = tf.concat([input_ids, input_ids[::-1]], 0)  # two captions for each of B photographs
    decoder = ShowAndTellDecoder(dataclasses.replace(PLAIN, image_input=image_input), V, (F,), seed=3)
    outputs = decoder.unroll(features, input_ids)
    np.testing.assert_allclose(outputs, decoder.unroll(tf.repeat(features, 2, axis=0), input_ids), rtol=1e-6)
    state, fixed = decoder.start(features, T)
    state = tf.nest.map_structure(lambda rows: tf.repeat(rows, 2, axis=0), state)
    for t in range(T):
        logits, state = decoder.step(input_ids[:, t], state, fixed)
        np.testing.assert_allclose(decoder.logits(outputs[:, t]), logits, rtol=1e-5, atol=1e-6)


def test_an_image_at_every_step_is_an_image_in_every_word(inputs):
    features, input_ids = inputs
    features = tf.repeat(features[:1], B, axis=0)  # one photograph, so that one shifted word table tells the same
    every_step = ShowAndTellDecoder(dataclasses.replace(PLAIN, image_input="every_step"), V, (F,), seed=3)
    shifted = ShowAndTellDecoder(PLAIN, V, (F,), seed=3)
    shifted.variables["word_embedding"].assign_add(
        tf.repeat(features[:1] @ shifted.variables["image_embedding/kernel"], V, axis=0)
    )
    np.testing.assert_allclose(
        every_step.unroll(features, input_ids), shifted.unroll(features, input_ids), rtol=1e-5, atol=1e-7
    )


def test_unroll_is_the_same_in_a_graph(inputs):
    decoder = ShowAndTellDecoder(PLAIN, V, (F,), seed=3)
    np.testing.assert_allclose(tf.function(decoder.unroll)(*inputs), decoder.unroll(*inputs), rtol=1e-5, atol=1e-7)


def test_later_words_have_exactly_no_influence(inputs):
    features, input_ids = inputs
    decoder = ShowAndTellDecoder(PLAIN, V, (F,), seed=3)
    word_embedding = decoder.variables["word_embedding"]
    input_ids = tf.constant([[1, 2, 3], [4, 5, 6]])  # every position its own word
    for position in range(T):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(decoder.unroll(features, input_ids)[:, position])
        gradient = tf.convert_to_tensor(tape.gradient(value, word_embedding)).numpy()
        for row in range(B):
            for t in range(T):
                reaches = np.abs(gradient[int(input_ids[row, t])]).max()
                assert (reaches > 0) if t <= position else (reaches == 0)


def test_dropout_is_a_function_of_its_seed(inputs):
    config = ShowAndTellConfig(embedding_size=E, num_lstm_units=U, input_dropout_rate=0.5, output_dropout_rate=0.5)
    decoder = ShowAndTellDecoder(config, V, (F,), seed=3)
    first, again, other = (decoder.unroll(*inputs, tf.constant([1, step])) for step in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert 0.2 < np.mean(first.numpy() == 0) < 0.8
    np.testing.assert_allclose(decoder.unroll(*inputs), ShowAndTellDecoder(PLAIN, V, (F,), seed=3).unroll(*inputs))


def test_output_dropout_differs_from_step_to_step():
    config = ShowAndTellConfig(embedding_size=E, num_lstm_units=64, input_dropout_rate=0.0, output_dropout_rate=0.5)
    decoder = ShowAndTellDecoder(config, V, (F,), seed=3)
    outputs = decoder.unroll(tf.ones([1, F]), tf.zeros([1, 6], tf.int32), tf.constant([1, 1])).numpy()[0] == 0
    assert len({row.tobytes() for row in outputs}) == 6


def test_inputs_and_outputs_are_dropped_by_draws_of_their_own():
    size, num_words = 64, 6
    config = ShowAndTellConfig(
        embedding_size=size, num_lstm_units=size, input_dropout_rate=0.5, output_dropout_rate=0.5, initializer_scale=0.5
    )
    decoder = ShowAndTellDecoder(config, num_words, (F,), seed=1)
    with tf.GradientTape() as tape:
        outputs = decoder.unroll(tf.ones([1, F]), tf.range(num_words)[None], tf.constant([1, 2], tf.int64))
        total = tf.reduce_sum(outputs)
    gradient = tf.convert_to_tensor(tape.gradient(total, decoder.variables["word_embedding"]))
    input_mask, output_mask = gradient.numpy() != 0, outputs[0].numpy() != 0  # [T, 64] each; word t is said at step t.
    assert 0.4 < input_mask[:-1].mean() < 0.6
    assert 0.4 < output_mask.mean() < 0.6
    # One stream would fill both alike from their first number on, and the inputs begin with the photograph's.
    assert 0.4 < (input_mask[:-1] == output_mask[1:]).mean() < 0.6


def test_log_frequency_bias_makes_the_first_loss_the_entropy_of_word_frequencies():
    counts = np.array([8, 4, 2, 2])
    np.testing.assert_allclose(log_frequencies(counts), np.log([0.5, 0.25, 0.125, 0.125]))
    config = ShowAndTellConfig(embedding_size=E, num_lstm_units=U, log_frequency_bias=True)
    decoder = ShowAndTellDecoder(config, 4, (F,), 0, counts)
    probabilities = tf.nn.softmax(decoder.logits(tf.zeros([1, U])))
    np.testing.assert_allclose(probabilities, [[0.5, 0.25, 0.125, 0.125]], rtol=1e-6)
    assert math.isclose(-np.sum([p * math.log2(p) for p in probabilities.numpy()[0]]), 1.75, rel_tol=1e-6)


def test_log_frequency_bias_without_counts_is_refused():
    with pytest.raises(ValueError, match="log_frequency_bias=True needs"):
        ShowAndTellDecoder(ShowAndTellConfig(log_frequency_bias=True), V, (F,), 0)
