"""The decoder of the original im2txt as its TensorFlow 1 checkpoints hold it, to and from ours.

    theirs                                      ours
    image_embedding/weights      [2048, E]      image_embedding/kernel
    seq_embedding/map            [V, E]         word_embedding
    lstm/.../kernel              [E + U, 4U]    lstm/kernel [E, 4U] above lstm/recurrent_kernel [U, 4U]
    lstm/.../bias                [4U]           lstm/bias
    logits/weights, biases       [U, V], [V]    logits/kernel, logits/bias

Their gates stand in the order input, cell, forget, output, and the forget gate's 1 is added at run time; ours in the
order input, forget, cell, output, with the 1 in the bias. Their names of the LSTM's weights changed twice.

Source: Vinyals et al., Show and Tell: Lessons learned, arXiv 1609.06647; github.com/tensorflow/models, research/im2txt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from im2txt.system.tensorflow1_checkpoint import Tensorflow1Checkpoint

FEATURE_SIZE = 2048
"""Features of Inception v3."""
_FORGET_BIAS = 1.0
_STEP = "global_step"
_EMBEDDING = "seq_embedding/map"
_IMAGE_EMBEDDING = "image_embedding/weights"
_LOGITS = ("logits/weights", "logits/biases")
_LSTM_NAMES = {  # By version of TensorFlow, the newest first.
    "1.2 and later": ("lstm/basic_lstm_cell/kernel", "lstm/basic_lstm_cell/bias"),
    "1.0 and 1.1": ("lstm/basic_lstm_cell/weights", "lstm/basic_lstm_cell/biases"),
    "before 1.0": ("lstm/BasicLSTMCell/Linear/Matrix", "lstm/BasicLSTMCell/Linear/Bias"),
}
# What else training may leave behind: an encoder, an optimizer's slots and rates, averages of the weights.
_ENCODER_SCOPE = "InceptionV3/"
_TRAINING_SCOPES = ("OptimizeLoss/", "beta1_power", "beta2_power", "learning_rate")
_SLOTS = (
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adam_1",
    "ExponentialMovingAverage",
    "Ftrl",
    "Momentum",
    "RMSProp",
    "RMSProp_1",
)


@dataclasses.dataclass(frozen=True)
class OriginalDecoder:
    """A decoder out of a checkpoint.

    Attributes:
        weights: float32, by our names and in our order of gates.
        step: updates behind it.
    """

    weights: dict[str, np.ndarray]
    step: int

    @property
    def vocab_size(self) -> int:
        """Rows of the table of words, 12,000 in the original; the vocabulary may hold fewer words."""
        return len(self.weights["word_embedding"])

    @property
    def embedding_size(self) -> int:
        """Numbers per word vector."""
        return self.weights["word_embedding"].shape[1]

    @property
    def num_lstm_units(self) -> int:
        """Units of the LSTM."""
        return len(self.weights["lstm/recurrent_kernel"])


def read_original_decoder(checkpoint: Tensorflow1Checkpoint) -> OriginalDecoder:
    """Reads the decoder; its sizes follow from the shapes.

    Raises:
        ValueError: naming the variable, its shape and the wanted one, if it is not the original's model.
    """
    kernel_name, bias_name = _lstm_names(checkpoint)
    vocab_size, embedding_size = _matrix_shape(checkpoint, _EMBEDDING)
    rows, columns = _matrix_shape(checkpoint, kernel_name)
    units = columns // 4
    if columns % 4 or rows != embedding_size + units:
        raise ValueError(
            f"Variable {kernel_name!r} of {checkpoint.path} has shape {[rows, columns]}; an LSTM that reads words of "
            f"{embedding_size} numbers has [{embedding_size} + U, 4U], here {[embedding_size + units, 4 * units]}. An "
            "LSTM that reads more than words and its state is another model's, such as that of a fork with attention."
        )
    _refuse_foreign_variables(checkpoint, {kernel_name, bias_name})
    kernel = _to_our_gates(checkpoint.read(kernel_name, (rows, columns)))
    bias = _to_our_gates(checkpoint.read(bias_name, (columns,))).astype(np.float32)
    bias[units : 2 * units] += _FORGET_BIAS
    weights = {
        "image_embedding/kernel": checkpoint.read(_IMAGE_EMBEDDING, (FEATURE_SIZE, embedding_size)),
        "word_embedding": checkpoint.read(_EMBEDDING, (vocab_size, embedding_size)),
        "lstm/kernel": kernel[:embedding_size],
        "lstm/recurrent_kernel": kernel[embedding_size:],
        "lstm/bias": bias,
        "logits/kernel": checkpoint.read(_LOGITS[0], (units, vocab_size)),
        "logits/bias": checkpoint.read(_LOGITS[1], (vocab_size,)),
    }
    # A checkpoint that was only meant for inference may lack the step.
    step = int(checkpoint.read(_STEP, ())) if _STEP in checkpoint.shapes else 0
    return OriginalDecoder({name: value.astype(np.float32) for name, value in weights.items()}, step)


def original_decoder_variables(weights: Mapping[str, np.ndarray], step: int) -> dict[str, np.ndarray]:
    """Returns the decoder as the original's newest version names it: seven variables; see `read_original_decoder`."""
    kernel = np.concatenate([weights["lstm/kernel"], weights["lstm/recurrent_kernel"]])
    bias = weights["lstm/bias"].copy()
    units = len(bias) // 4
    bias[units : 2 * units] -= _FORGET_BIAS
    kernel_name, bias_name = next(iter(_LSTM_NAMES.values()))
    return {
        _IMAGE_EMBEDDING: weights["image_embedding/kernel"],
        _EMBEDDING: weights["word_embedding"],
        # The middle gates change places; the same exchange leads back.
        kernel_name: _to_our_gates(kernel),
        bias_name: _to_our_gates(bias),
        _LOGITS[0]: weights["logits/kernel"],
        _LOGITS[1]: weights["logits/bias"],
        _STEP: np.array(step, np.int32),
    }


def _to_our_gates(value: np.ndarray) -> np.ndarray:
    """[..., 4U]: i, j, f, o to i, f, j, o."""
    i, j, f, o = np.split(value, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)


def _lstm_names(checkpoint: Tensorflow1Checkpoint) -> tuple[str, str]:
    for kernel_name, bias_name in _LSTM_NAMES.values():
        if kernel_name in checkpoint.shapes:
            return kernel_name, bias_name
    known = ", ".join(f"{kernel!r} (TensorFlow {version})" for version, (kernel, _) in _LSTM_NAMES.items())
    found = [name for name in checkpoint.shapes if not name.startswith(_ENCODER_SCOPE)]
    raise ValueError(
        f"{checkpoint.path} holds no LSTM of im2txt: none of {known}. Beside the image encoder it holds "
        f"{_listed(found)}. It is a checkpoint of another model, or of the encoder alone."
    )


def _matrix_shape(checkpoint: Tensorflow1Checkpoint, name: str) -> tuple[int, int]:
    shape = checkpoint.shapes.get(name)
    if shape is None or len(shape) != 2:
        found = "is missing" if shape is None else f"has shape {list(shape)}"
        raise ValueError(
            f"Variable {name!r} of {checkpoint.path} {found}; im2txt's has two dimensions. It is a checkpoint of "
            "another model, or of a fork that renamed or replaced it."
        )
    return shape[0], shape[1]


def _refuse_foreign_variables(checkpoint: Tensorflow1Checkpoint, lstm_names: set[str]) -> None:
    known = {_STEP, _EMBEDDING, _IMAGE_EMBEDDING, *_LOGITS} | lstm_names
    foreign = [
        name
        for name in checkpoint.shapes
        if name not in known
        and not name.startswith((_ENCODER_SCOPE, *_TRAINING_SCOPES))
        and name.rpartition("/")[2] not in _SLOTS
    ]
    if foreign:
        shapes = _listed([f"{name!r} {list(checkpoint.shapes[name])}" for name in foreign])
        raise ValueError(
            f"{checkpoint.path} holds weights that im2txt's model lacks: {shapes}. It is a checkpoint of a fork "
            "(attention, characters, more layers), and without them its captions would be wrong."
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "nothing") + more
