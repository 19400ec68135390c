"""The LSTM against NumPy, and its hand-written gradient against automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from im2txt.model.decoders.lstm import lstm_sequence, lstm_step

T, B, U = 4, 3, 5


@pytest.fixture
def tensors():
    generator = np.random.default_rng(0)
    projected = generator.normal(size=(T, B, 4 * U)).astype(np.float32)
    kernel = generator.normal(size=(U, 4 * U)).astype(np.float32)
    return tf.constant(projected), tf.constant(kernel)


def numpy_step(projected, h, c, kernel):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    z = projected + h @ kernel
    i, f, g, o = sigmoid(z[:, :U]), sigmoid(z[:, U : 2 * U]), np.tanh(z[:, 2 * U : 3 * U]), sigmoid(z[:, 3 * U :])
    c = f * c + i * g
    return o * np.tanh(c), c


def test_step_equals_numpy_cell(tensors):
    projected, kernel = tensors
    generator = np.random.default_rng(1)
    h, c = generator.normal(size=(2, B, U)).astype(np.float32)
    expected = numpy_step(projected[0].numpy(), h, c, kernel.numpy())
    for actual, wanted in zip(lstm_step(projected[0], h, c, kernel), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


def test_step_equals_keras_cell():
    cell = tf.keras.layers.LSTMCell(U)
    x, h, c = np.random.default_rng(2).normal(size=(3, B, U)).astype(np.float32)
    expected, (_, expected_c) = cell(x, [h, c])
    projected = x @ cell.kernel.numpy() + cell.bias.numpy()
    actual, actual_c = lstm_step(projected, h, c, tf.convert_to_tensor(cell.recurrent_kernel))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(actual_c, expected_c, rtol=1e-5, atol=1e-6)


def test_sequence_equals_repeated_step(tensors):
    projected, kernel = tensors
    h = c = tf.zeros([B, U])
    for t, output in enumerate(lstm_sequence(projected, kernel)):
        h, c = lstm_step(projected[t], h, c, kernel)
        np.testing.assert_allclose(output, h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("in_graph", "num_steps", "tanh_cell"), [(True, T, True), (True, 1, True), (False, T, False)])
def test_gradient_equals_automatic_differentiation(tensors, in_graph, num_steps, tanh_cell):
    projected, kernel = tensors[0][:num_steps], tensors[1]
    weights = tf.constant(np.random.default_rng(3).normal(size=(num_steps, B, U)).astype(np.float32))

    def by_hand(projected, kernel):
        with tf.GradientTape() as tape:
            tape.watch([projected, kernel])
            loss = tf.reduce_sum(weights * lstm_sequence(projected, kernel, tanh_cell=tanh_cell))
        return tape.gradient(loss, [projected, kernel])

    def by_tape(projected, kernel):
        with tf.GradientTape() as tape:
            tape.watch([projected, kernel])
            h = c = tf.zeros([B, U])
            loss = 0.0
            for t in range(num_steps):
                h, c = lstm_step(projected[t], h, c, kernel, tanh_cell)
                loss += tf.reduce_sum(weights[t] * h)
        return tape.gradient(loss, [projected, kernel])

    actual = (tf.function(by_hand) if in_graph else by_hand)(projected, kernel)
    for got, wanted in zip(actual, by_tape(projected, kernel), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32(tensors):
    projected, kernel = tensors
    exact, coarse = lstm_sequence(projected, kernel), lstm_sequence(projected, kernel, tf.bfloat16)
    assert coarse.dtype == tf.float32
    np.testing.assert_allclose(coarse, exact, atol=0.05)
    assert np.abs(coarse - exact).max() > 0
