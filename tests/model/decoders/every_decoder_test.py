"""What training and search rest on, of every decoder: its two ways to run agree, and no word sees a later one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_decoders import IMAGES, T, V, by_steps, feature_shape, tiny_config, tiny_decoder, tiny_inputs

from im2txt.model.captioner import Captioner
from im2txt.model.decoders.registry import DECODERS

# Knobs that change how a decoder runs, beside what it is by default.
VARIANTS = [(name, {}) for name in DECODERS]
VARIANTS += [("show_and_tell", {"image_input": "every_step"})]
VARIANTS += [("neuraltalk_lstm", {"tanh_cell": True})]
VARIANTS += [("neuraltalk_rnn", {"image_input": "first"}), ("neuraltalk_rnn", {"relu_encoders": True})]
every_variant = pytest.mark.parametrize(("name", "fields"), VARIANTS)
every_decoder = pytest.mark.parametrize("name", DECODERS)


@every_variant
def test_unroll_equals_repeated_step(name, fields):
    decoder = tiny_decoder(name, **fields)
    features, input_ids = tiny_inputs(name)
    logits = decoder.logits(decoder.unroll(features, input_ids))
    np.testing.assert_allclose(logits, by_steps(decoder, features, input_ids), rtol=1e-4, atol=1e-5)
    assert np.std(logits, axis=0).max() > 1e-3  # The photographs are told apart.


@every_variant
def test_both_ways_are_the_same_in_a_graph(name, fields):
    decoder = tiny_decoder(name, **fields)
    features, input_ids = tiny_inputs(name)

    @tf.function(input_signature=[tf.TensorSpec([None, *feature_shape(name)]), tf.TensorSpec([None, None], tf.int32)])
    def unroll(features, input_ids):
        return decoder.unroll(features, input_ids)

    outputs = unroll(features, input_ids)
    np.testing.assert_allclose(outputs, decoder.unroll(features, input_ids), rtol=1e-4, atol=1e-6)
    steps = tf.function(lambda: by_steps(decoder, features, input_ids))()
    np.testing.assert_allclose(steps, decoder.logits(outputs), rtol=1e-4, atol=1e-5)


@every_variant
def test_later_words_have_exactly_no_influence(name, fields):
    decoder = tiny_decoder(name, **fields)
    features, _ = tiny_inputs(name)
    table = decoder.variables.get("word_embedding")
    if table is None:
        pytest.skip("It feeds no words.")
    input_ids = tf.constant([[0, 1, 2, 3], [4, 5, 6, 7]])  # Every position its own word.
    for position in range(T):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(decoder.unroll(features, input_ids)[:, position] ** 2)
        gradient = tf.convert_to_tensor(tape.gradient(value, table)).numpy()
        for row in range(IMAGES):
            for t in range(T):
                reaches = np.abs(gradient[int(input_ids[row, t])]).max()
                assert (reaches > 0) if t <= position else (reaches == 0)


@every_decoder
def test_padding_receives_no_gradient(name):
    features, _ = tiny_inputs(name)
    captioner = Captioner(None, tiny_decoder(name))
    batch = {  # Word 9 stands in the padding alone.
        "features": features,
        "input_ids": tf.constant([[1, 3, 4], [1, 5, 9]]),
        "target_ids": tf.constant([[3, 4, 2], [5, 2, 10]]),
        "mask": tf.constant([[True, True, True], [True, True, False]]),
    }
    with tf.GradientTape() as tape:
        losses = captioner.word_losses(batch)
        loss = tf.reduce_sum(losses)
    assert losses.shape == [5]
    variables = captioner.variables
    gradients = dict(zip(variables, tape.gradient(loss, list(variables.values())), strict=True))
    assert all(gradient is not None for gradient in gradients.values())  # Every weight is of use.
    if "decoder/word_embedding" in gradients:
        embedding = tf.convert_to_tensor(gradients["decoder/word_embedding"]).numpy()
        assert np.abs(embedding[9]).max() == 0
        assert np.abs(embedding[5]).max() > 0


@every_decoder
def test_dropout_is_a_function_of_its_seed(name):
    rates = {field.name: 0.5 for field in dataclasses.fields(tiny_config(name)) if field.name.endswith("dropout_rate")}
    features, input_ids = tiny_inputs(name)
    for some in [rates, *({rate: 0.5} for rate in rates)]:  # All of them, and each alone.
        if not some:
            continue
        decoder = tiny_decoder(name, **some)
        first, again, other = (decoder.unroll(features, input_ids, tf.constant([1, step])) for step in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0
        np.testing.assert_array_equal(
            decoder.unroll(features, input_ids), tiny_decoder(name).unroll(features, input_ids)
        )


@every_decoder
def test_bfloat16_stays_near_float32_and_gives_float32(name):
    features, input_ids = tiny_inputs(name)
    exact, coarse = (
        DECODERS[name](tiny_config(name), V, feature_shape(name), 3, None, dtype) for dtype in (tf.float32, tf.bfloat16)
    )
    losses = [decoder.logits(decoder.unroll(features, input_ids)) for decoder in (exact, coarse)]
    assert losses[1].dtype == tf.float32
    np.testing.assert_allclose(*losses, atol=0.1)


@every_decoder
def test_weights_repeat_with_the_seed(name):
    first, again, other = (
        DECODERS[name](tiny_config(name), V, feature_shape(name), seed).variables for seed in (1, 1, 2)
    )
    for key, variable in first.items():
        np.testing.assert_array_equal(variable, again[key])
        if variable.shape.rank > 1:
            assert np.abs(variable - other[key]).max() > 0


@every_decoder
def test_log_frequency_bias_is_the_log_of_each_word_s_share(name):
    counts = np.array([5] + [1] * (V - 1))
    bias = tiny_decoder(name, word_counts=counts, log_frequency_bias=True).variables["logits/bias"]
    np.testing.assert_allclose(tf.exp(bias), counts / counts.sum(), rtol=1e-6)
    with pytest.raises(ValueError, match="log_frequency_bias=True needs"):
        tiny_decoder(name, log_frequency_bias=True)
