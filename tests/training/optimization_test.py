"""Update rules against their formulas in NumPy; schedules and clipping against written-out values."""

import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.training.optimization import Optimizer, add_l2, clip, learning_rate

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
        elif rule == "adadelta":
            v = 0.999 * v + 0.001 * g * g
            update = np.sqrt(m + 1e-8) / np.sqrt(v + 1e-8) * g
            m = 0.999 * m + 0.001 * update**2
            w = w - RATE * update
        else:
            if rule == "adamw":
                w = w - RATE * DECAY * w
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            w = w - RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("rule", ["sgd", "momentum", "rmsprop", "adagrad", "adadelta", "adam", "adamw"])
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


@pytest.mark.parametrize(
    ("rule", "decays", "expected"),
    [
        # Two updates by a gradient of 2, worked out by hand.
        ("momentum", {"momentum": 0.5}, -RATE * (2 + (0.5 * 2 + 2))),
        ("rmsprop", {"square_decay": 0.75}, -RATE * (2 / math.sqrt(1) + 2 / math.sqrt(0.75 + 1))),
        ("adam", {"momentum": 0.5, "square_decay": 0.75}, -RATE * 2),
    ],
)
def test_decays_of_the_moments_are_the_configuration_s(rule, decays, expected):
    variables = {"decoder/w": tf.Variable(0.0)}
    optimizer = Optimizer(OptimizationConfig(optimizer=rule, **decays), variables)
    for step in range(2):
        optimizer.apply({"decoder/w": tf.constant(2.0)}, tf.constant(RATE), tf.constant(step, tf.int64))
    np.testing.assert_allclose(variables["decoder/w"], expected, rtol=1e-5)


def test_adam_s_betas_weigh_a_changing_gradient():
    variables = {"decoder/w": tf.Variable(0.0)}
    optimizer = Optimizer(OptimizationConfig(optimizer="adam", momentum=0.8, square_decay=0.5), variables)
    for step, gradient in enumerate((1.0, -3.0)):
        optimizer.apply({"decoder/w": tf.constant(gradient)}, tf.constant(RATE), tf.constant(step, tf.int64))
    m, v = (0.8 * 0.2 * 1 - 0.2 * 3) / (1 - 0.8**2), (0.5 * 0.5 * 1 + 0.5 * 9) / (1 - 0.5**2)
    np.testing.assert_allclose(variables["decoder/w"], -RATE * (1 + m / math.sqrt(v)), rtol=1e-5)


def test_an_encoder_s_first_update_is_corrected_as_any_first_one():
    variables = {"decoder/w": tf.Variable(0.0), "encoder/w": tf.Variable(0.0)}
    optimizer = Optimizer(OptimizationConfig(optimizer="adam"), variables, encoder_from_step=1000)
    assert list(optimizer.trained(with_encoder=False)) == ["decoder/w"]
    assert list(optimizer.trained(with_encoder=True)) == ["decoder/w", "encoder/w"]
    optimizer.apply({"encoder/w": tf.constant(3.0)}, tf.constant(RATE), tf.constant(1000, tf.int64))
    np.testing.assert_allclose([float(v) for v in variables.values()], [0.0, -RATE], rtol=1e-5)


def test_l2_falls_on_the_encoder_s_kernels_alone():
    weights = {"encoder/kernel": [[3.0, 4.0]], "encoder/bias": [5.0], "decoder/kernel": [[7.0]]}
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    gradients, loss = add_l2([tf.ones_like(v) for v in variables.values()], variables, 0.1)
    assert float(loss) == pytest.approx(0.5 * 0.1 * 25)
    for gradient, expected in zip(gradients, ([[1.3, 1.4]], [1.0], [[1.0]]), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)


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


def test_exponential_passes_where_the_staircase_lands():
    config = OptimizationConfig(learning_rate=1.0, schedule="exponential", decay_epochs=2.0, decay_factor=0.25)
    np.testing.assert_allclose(rates(config, [0, 10, 20, 40]), [1.0, 0.5, 0.25, 0.0625], rtol=1e-6)


@pytest.mark.parametrize(("schedule", "between"), [("staircase", 1.0), ("exponential", 0.5**0.5)])
def test_decay_sets_in_where_it_is_told_to(schedule, between):
    config = OptimizationConfig(learning_rate=1.0, schedule=schedule, decay_epochs=2.0, decay_from_epoch=3.0)
    np.testing.assert_allclose(rates(config, [0, 29, 30, 40, 50]), [1.0, 1.0, 1.0, between, 0.5], rtol=1e-6)


def test_constant_stays():
    assert rates(OptimizationConfig(learning_rate=0.5, schedule="constant"), [0, 1, 99]) == [0.5, 0.5, 0.5]


def test_clipping_scales_the_joint_norm():
    clipped, norm = clip([tf.constant([3.0, 0.0]), tf.constant([[4.0]])], 0.0, 1.0)
    assert float(norm) == 5.0
    np.testing.assert_allclose(clipped[0], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[0.8]], rtol=1e-6)


def test_values_are_clipped_before_the_norm():
    gradients = [tf.constant([30.0, -0.5]), tf.constant([[-4.0]])]
    clipped, norm = clip(gradients, 1.0, 0.0)
    assert float(norm) == pytest.approx(math.sqrt(30**2 + 0.5**2 + 4**2))
    np.testing.assert_array_equal(clipped[0], [1.0, -0.5])
    np.testing.assert_array_equal(clipped[1], [[-1.0]])
    scaled, same = clip(gradients, 1.0, 0.75)
    assert float(same) == float(norm)
    np.testing.assert_allclose(scaled[0], [0.5, -0.25], rtol=1e-6)
    np.testing.assert_allclose(scaled[1], [[-0.5]], rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 6.0])
def test_small_gradients_and_a_limit_of_zero_are_left_alone(clip_norm):
    clipped, _ = clip([tf.constant([3.0, 4.0])], 0.0, clip_norm)
    np.testing.assert_array_equal(clipped[0], [3.0, 4.0])
