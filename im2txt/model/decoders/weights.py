"""What decoders of every kind share: named weights, products with them, and the layer from outputs to words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from im2txt.configuration import DecoderConfig
from im2txt.model.decoders.caption_decoder import log_frequencies


class WeightedDecoder(tf.Module):
    """Holds a decoder's weights: `logits/kernel`, `logits/bias`, `word_embedding` if it reads words, and its own.

    Attributes:
        vocab_size: V.
    """

    def __init__(
        self,
        config: DecoderConfig,
        vocab_size: int,
        initial: Mapping[str, np.ndarray],
        word_counts: np.ndarray | None,
        compute_dtype: tf.DType,
    ):
        """Creates the weights.

        Args:
            config: says what the output bias starts from.
            vocab_size: V.
            initial: the first value of each weight but `logits/bias`.
            word_counts: int [V], occurrences as a target; used if config.log_frequency_bias.
            compute_dtype: dtype of the matrix products of `unroll` and `logits`; `step` is always float32.

        Raises:
            ValueError: if config.log_frequency_bias wants counts and there are none.
        """
        super().__init__(name="decoder")
        self.vocab_size = vocab_size
        self._compute_dtype = compute_dtype
        output_bias = np.zeros(vocab_size)
        if config.log_frequency_bias:
            if word_counts is None:
                raise ValueError("decoder.log_frequency_bias=True needs the vocabulary's word counts.")
            output_bias = log_frequencies(word_counts)
        weights = {**initial, "logits/bias": output_bias}
        self._variables = {
            name: tf.Variable(value.astype(np.float32), name=name) for name, value in sorted(weights.items())
        }

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All weights by stable name."""
        return dict(self._variables)

    def logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """See `CaptionDecoder.logits`."""
        return self._linear(outputs, "logits", self._compute_dtype)

    def _words(self, word_ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors [..., E] of words int32 [...]."""
        return tf.gather(self._variables["word_embedding"], word_ids)

    def _linear(self, x: tf.Tensor, name: str, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """[..., I] times `NAME/kernel` [I, O], plus `NAME/bias` where there is one.

        One product over all rows in `dtype`; the result is float32.
        """
        kernel, bias = self._variables[f"{name}/kernel"], self._variables.get(f"{name}/bias")
        rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, kernel.shape[0]])
        product = tf.cast(tf.matmul(tf.cast(rows, dtype), tf.cast(kernel, dtype)), tf.float32)
        if x.shape.rank != 2:
            product = tf.reshape(product, tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], 0))
        return product if bias is None else product + bias


def repeat_rows(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns x [I, ...] with each row repeated for the captions of its photograph, one per row of `rows` [B, ...]."""
    return tf.repeat(x, tf.shape(rows)[0] // tf.shape(x)[0], axis=0)


def uniform_weights(shapes: Mapping[str, tuple[int, ...]], scale: float, seed: int) -> dict[str, np.ndarray]:
    """Returns first values for weights of these shapes, uniform in plus or minus `scale`, in the order given."""
    generator = np.random.default_rng(seed)
    return {name: generator.uniform(-scale, scale, shape) for name, shape in shapes.items()}


def dense_weights(name: str, num_inputs: int, num_units: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns a kernel [I, O] and a bias [O] as Keras starts them: Glorot's uniform range, and 0."""
    return {f"{name}/kernel": _glorot((num_inputs, num_units), generator), f"{name}/bias": np.zeros(num_units)}


def lstm_weights(name: str, num_inputs: int, num_units: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns an LSTM's kernels and bias as Keras starts them: Glorot's range, orthogonal rows, 1 for forget gates."""
    square = generator.normal(size=(4 * num_units, num_units))
    orthogonal, upper = np.linalg.qr(square)
    orthogonal *= np.sign(np.diag(upper))
    return {
        f"{name}/kernel": _glorot((num_inputs, 4 * num_units), generator),
        f"{name}/recurrent_kernel": orthogonal.T,
        f"{name}/bias": np.repeat([0.0, 1.0, 0.0, 0.0], num_units),
    }


def embedding_weights(vocab_size: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Returns a table of words [V, E] as Keras starts it: uniform in plus or minus 0.05."""
    return generator.uniform(-0.05, 0.05, (vocab_size, size))


def _glorot(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    limit = np.sqrt(6 / sum(shape))
    return generator.uniform(-limit, limit, shape)
