"""The LSTM: one step, and a whole sequence with a gradient written for speed.

Gates stand in the order of Keras (input, forget, cell, output), the forget gate's +1 is part of the stored bias, and
h' = o * tanh(c'), or o * c' as NeuralTalk has it.  Source: Hochreiter & Schmidhuber 1997; forget bias after Jozefowicz
et al. 2015.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def lstm_step(
    projected: tf.Tensor, h: tf.Tensor, c: tf.Tensor, recurrent_kernel: tf.Tensor, tanh_cell: bool = True
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes one step.

    Args:
        projected: float [B, 4U], the input times the kernel plus the bias.
        h: float [B, U], last output.
        c: float [B, U], last cell state.
        recurrent_kernel: float [U, 4U].
        tanh_cell: whether the cell passes tanh on its way to the output.

    Returns:
        The new h and c, each [B, U].
    """
    gates, c = _gates_and_cell(projected, h, c, recurrent_kernel)
    return gates[3] * (tf.tanh(c) if tanh_cell else c), c


def lstm_sequence(
    projected: tf.Tensor, recurrent_kernel: tf.Tensor, compute_dtype: tf.DType = tf.float32, tanh_cell: bool = True
) -> tf.Tensor:
    """Runs the LSTM over a sequence from the zero state.

    Equals repeated `lstm_step`. The gradient of the recurrent kernel is one product over all steps after the backward
    loop instead of one per step, and nothing but the gates and cell states is kept in between.

    Args:
        projected: float32 [T, B, 4U], time first: the inputs times the kernel plus the bias.
        recurrent_kernel: float32 [U, 4U].
        compute_dtype: dtype of the matrix products; states stay float32.
        tanh_cell: see `lstm_step`.

    Returns:
        float32 [T, B, U], the outputs h.
    """

    @tf.custom_gradient
    def run(projected: tf.Tensor, recurrent_kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        kernel = tf.cast(recurrent_kernel, compute_dtype)
        outputs, gates, cells = _forward(projected, kernel, tanh_cell)

        def gradient(d_outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _backward(d_outputs, outputs, gates, cells, kernel, tanh_cell)

        return outputs, gradient

    return run(projected, recurrent_kernel)


def _gates_and_cell(
    projected: tf.Tensor, h: tf.Tensor, c: tf.Tensor, kernel: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    z = projected + tf.cast(tf.matmul(tf.cast(h, kernel.dtype), kernel), projected.dtype)  # [B, 4U]
    z_i, z_f, z_g, z_o = tf.split(z, 4, axis=-1)
    i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
    return [i, f, g, o], f * c + i * g


def _forward(projected: tf.Tensor, kernel: tf.Tensor, tanh_cell: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns outputs [T, B, U], activated gates [T, B, 4U] and cell states [T, B, U]."""
    num_steps = tf.shape(projected)[0]
    num_units = kernel.shape[0]
    zeros = tf.zeros([tf.shape(projected)[1], num_units], projected.dtype)
    arrays = [tf.TensorArray(projected.dtype, num_steps) for _ in range(3)]

    def body(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *arrays: tf.TensorArray) -> tuple:
        gates, c = _gates_and_cell(projected[t], h, c, kernel)
        h = gates[3] * (tf.tanh(c) if tanh_cell else c)
        values = (h, tf.concat(gates, -1), c)
        return t + 1, h, c, *(array.write(t, value) for array, value in zip(arrays, values, strict=True))

    _, _, _, *arrays = tf.while_loop(lambda t, *_: t < num_steps, body, (0, zeros, zeros, *arrays))
    outputs, gates, cells = (array.stack() for array in arrays)
    return outputs, gates, cells


def _backward(
    d_outputs: tf.Tensor, outputs: tf.Tensor, gates: tf.Tensor, cells: tf.Tensor, kernel: tf.Tensor, tanh_cell: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of `projected` [T, B, 4U] and of the recurrent kernel [U, 4U]."""
    num_steps = tf.shape(outputs)[0]
    num_units = kernel.shape[0]
    zeros = tf.zeros_like(outputs[0])
    array = tf.TensorArray(outputs.dtype, num_steps)
    before = tf.concat([zeros[None], cells[:-1]], axis=0)  # cell states one step earlier

    def body(t: tf.Tensor, d_h: tf.Tensor, d_c: tf.Tensor, array: tf.TensorArray) -> tuple:
        i, f, g, o = tf.split(gates[t], 4, axis=-1)
        shown = tf.tanh(cells[t]) if tanh_cell else cells[t]
        d_h += d_outputs[t]
        d_c += d_h * o * (1.0 - shown * shown) if tanh_cell else d_h * o
        d_z = tf.concat(
            [
                d_c * g * i * (1.0 - i),
                d_c * before[t] * f * (1.0 - f),
                d_c * i * (1.0 - g * g),
                d_h * shown * o * (1.0 - o),
            ],
            axis=-1,
        )  # [B, 4U]
        d_h = tf.cast(tf.matmul(tf.cast(d_z, kernel.dtype), kernel, transpose_b=True), d_z.dtype)
        return t - 1, d_h, d_c * f, array.write(t, d_z)

    *_, array = tf.while_loop(lambda t, *_: t >= 0, body, (num_steps - 1, zeros, zeros, array))
    d_projected = array.stack()
    flat_d_z = tf.cast(tf.reshape(d_projected[1:], [-1, 4 * num_units]), kernel.dtype)
    flat_h = tf.cast(tf.reshape(outputs[:-1], [-1, num_units]), kernel.dtype)
    return d_projected, tf.cast(tf.matmul(flat_h, flat_d_z, transpose_a=True), outputs.dtype)
