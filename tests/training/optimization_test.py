"""Update rules against their formulas in NumPy; schedules and clipping against written-out values."""

import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.training.optimization import Optimizer, clip_by_global_norm, learning_rate

RATE, DECAY = 0.1, 0.05


def numpy_updates(rule, w, gradients):
    """Three updates of a matrix, after the papers' formulas."""
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        if rule == "sgd":
            w = w - RATE * g
        elif rule == "momentum":
            m = 0.9 * m + g
            w = w - RATE * m
        elif rule == "rmsprop":
            v = 0.999 * v + 0.001 * g * g
            w = w - RATE * g / np.sqrt(v + 1e-8)
        elif rule == "adagrad":
            v = v + g * g
            w = w - RATE * g / (np.sqrt(v) + 1e-8)
        else:
            if rule == "adamw":
                w = w - RATE * DECAY * w
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            w = w - RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("rule", ["sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw"])
def test_update_rule_follows_its_formula(rule):
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 2)).astype(np.float32)
    gradients = generator.normal(size=(3, 3, 2)).astype(np.float32)
    config = OptimizationConfig(optimizer=rule, weight_decay=DECAY if rule == "adamw" else 0.0)
    variables = {"decoder/kernel": tf.Variable(start)}
    optimizer = Optimizer(config, variables)

    @tf.function
    def update(gradient, step):
        optimizer.apply({"decoder/kernel": gradient}, tf.constant(RATE), step)

    for step, gradient in enumerate(gradients):
        update(tf.constant(gradient), tf.constant(step, tf.int64))
    np.testing.assert_allclose(
        variables["decoder/kernel"], numpy_updates(rule, start.astype(np.float64), gradients), rtol=2e-4, atol=1e-5
    )


def test_weight_decay_spares_biases():
    config = OptimizationConfig(optimizer="adamw", weight_decay=DECAY)
    variables = {"decoder/bias": tf.Variable([2.0, -3.0]), "decoder/kernel": tf.Variable([[2.0]])}
    zeros = {name: tf.zeros_like(v) for name, v in variables.items()}
    Optimizer(config, variables).apply(zeros, tf.constant(RATE), tf.constant(0, tf.int64))
    np.testing.assert_array_equal(variables["decoder/bias"], [2.0, -3.0])
    np.testing.assert_allclose(variables["decoder/kernel"], [[2.0 * (1 - RATE * DECAY)]])


def test_encoder_learns_at_its_own_rate():
    variables = {"decoder/w": tf.Variable(1.0), "encoder/w": tf.Variable(1.0)}
    config = OptimizationConfig(optimizer="sgd", encoder_learning_rate_factor=0.25)
    gradients = {name: tf.constant(1.0) for name in variables}
    Optimizer(config, variables).apply(gradients, tf.constant(0.4), tf.constant(0, tf.int64))
    np.testing.assert_allclose([float(v) for v in variables.values()], [0.6, 0.9], rtol=1e-6)


def rates(config, steps, steps_per_epoch=10.0, total_steps=100):
    return [float(learning_rate(config, tf.constant(s, tf.int64), steps_per_epoch, total_steps)) for s in steps]


def test_staircase_halves_where_the_original_did():
    config = OptimizationConfig()
    steps_per_epoch = 586_363 / 32  # COCO: 8 epochs are int(146,590.75) steps
    actual = rates(config, [0, 146_589, 146_590, 293_180, 999_999], steps_per_epoch, 10**6)
    np.testing.assert_allclose(actual, [2.0, 2.0, 1.0, 0.5, 2 * 0.5**6])


def test_cosine_rises_linearly_and_falls_to_zero():
    config = OptimizationConfig(learning_rate=1.0, schedule="cosine", warmup_steps=20)
    expected = [1 / 20, 10 / 20, 1.0, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.0]
    np.testing.assert_allclose(rates(config, [0, 9, 20, 40, 60, 100]), expected, atol=1e-6)


def test_constant_stays():
    assert rates(OptimizationConfig(learning_rate=0.5, schedule="constant"), [0, 1, 99]) == [0.5, 0.5, 0.5]


def test_clipping_scales_the_joint_norm():
    clipped, norm = clip_by_global_norm([tf.constant([3.0, 0.0]), tf.constant([[4.0]])], 1.0)
    assert float(norm) == 5.0
    np.testing.assert_allclose(clipped[0], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[0.8]], rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 6.0])
def test_small_gradients_and_a_limit_of_zero_are_left_alone(clip_norm):
    clipped, _ = clip_by_global_norm([tf.constant([3.0, 4.0])], clip_norm)
    np.testing.assert_array_equal(clipped[0], [3.0, 4.0])
