"""Slim's names for the weights of Inception v3, and loading them from its checkpoints into Keras's network.

Both build the same 94 convolutions in the same order, and call them differently: slim by their place
(`InceptionV3/Mixed_5b/Branch_1/Conv2d_0b_5x5`), Keras by a number that counts over the whole process (`conv2d_17`). The
names' own numbers give the order; the order of `network.layers` is another one.

Each convolution has `weights` [h, w, in, out], and a batch normalisation without gamma: `beta`, `moving_mean` and
`moving_variance` [out], 376 variables in all. A checkpoint of slim also holds two classifiers, which are left aside.

Source: Szegedy et al., Rethinking the Inception architecture, arXiv 1512.00567; names as in slim's `inception_v3`.
"""

from __future__ import annotations

import re
from typing import Any

import keras

from im2txt.system.tensorflow1_checkpoint import Tensorflow1Checkpoint

SCOPE = "InceptionV3"
BATCH_NORM_DECAY = 0.9997
"""Of slim's moving averages; Keras's network has 0.99."""

# Convolutions of each block, in the order in which both build them: one string per branch.
_GRID_35 = ("0a_1x1", "0a_1x1 0b_5x5", "0a_1x1 0b_3x3 0c_3x3", "0b_1x1")
_GRID_17 = ("0a_1x1", "0a_1x1 0b_1x7 0c_7x1", "0a_1x1 0b_7x1 0c_1x7 0d_7x1 0e_1x7", "0b_1x1")
_BLOCKS = {
    "Mixed_5b": _GRID_35,
    "Mixed_5c": ("0a_1x1", "0b_1x1 Conv_1_0c_5x5", *_GRID_35[2:]),  # Slim's own slip, kept by every checkpoint.
    "Mixed_5d": _GRID_35,
    "Mixed_6a": ("1a_1x1", "0a_1x1 0b_3x3 1a_1x1"),  # 1a_1x1 is 3x3 with stride 2.
    "Mixed_6b": _GRID_17,
    "Mixed_6c": _GRID_17,
    "Mixed_6d": _GRID_17,
    "Mixed_6e": _GRID_17,
    "Mixed_7a": ("0a_1x1 1a_3x3", "0a_1x1 0b_1x7 0c_7x1 1a_3x3"),
    "Mixed_7b": ("0a_1x1", "0a_1x1 0b_1x3 0b_3x1", "0a_1x1 0b_3x3 0c_1x3 0d_3x1", "0b_1x1"),
    "Mixed_7c": ("0a_1x1", "0a_1x1 0b_1x3 0c_3x1", "0a_1x1 0b_3x3 0c_1x3 0d_3x1", "0b_1x1"),
}


def _convolution_names() -> list[str]:
    stem = [f"{SCOPE}/Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    return stem + [
        f"{SCOPE}/{block}/Branch_{index}/{name if name.startswith('Conv') else f'Conv2d_{name}'}"
        for block, branches in _BLOCKS.items()
        for index, branch in enumerate(branches)
        for name in branch.split()
    ]


def slim_variables(network: Any) -> dict[str, Any]:
    """Returns the Keras variables of Inception v3 by slim's names.

    Args:
        network: a Keras model that holds all layers of `keras.applications.InceptionV3` without its top.

    Returns:
        376 `keras.Variable`, convolution after convolution.

    Raises:
        ValueError: if the network is another one.
    """
    names = _convolution_names()
    convolutions = _in_order_of_creation(network, keras.layers.Conv2D)
    normalizations = _in_order_of_creation(network, keras.layers.BatchNormalization)
    if not len(names) == len(convolutions) == len(normalizations):
        raise ValueError(
            f"The network has {len(convolutions)} convolutions and {len(normalizations)} batch normalisations; "
            f"Inception v3 has {len(names)} of each."
        )
    variables = {}
    for name, convolution, normalization in zip(names, convolutions, normalizations, strict=True):
        variables[f"{name}/weights"] = convolution.kernel
        variables[f"{name}/BatchNorm/beta"] = normalization.beta
        variables[f"{name}/BatchNorm/moving_mean"] = normalization.moving_mean
        variables[f"{name}/BatchNorm/moving_variance"] = normalization.moving_variance
    return variables


def load_slim_inception(network: Any, path: str) -> None:
    """Gives Keras's Inception v3 the weights of a checkpoint of slim or im2txt, and slim's decay of moving averages.

    Args:
        network: see `slim_variables`.
        path: see `Tensorflow1Checkpoint`; only variables below `InceptionV3/` are read, and no classifier.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: naming the variable that is missing, misshapen or damaged.
    """
    checkpoint = Tensorflow1Checkpoint(path)
    variables = slim_variables(network)
    values = {name: checkpoint.read(name, tuple(variable.shape)) for name, variable in variables.items()}
    for name, variable in variables.items():
        variable.assign(values[name])
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_DECAY


def _in_order_of_creation(network: Any, kind: type) -> list[Any]:
    def number(layer: Any) -> int:
        found = re.search(r"_(\d+)$", layer.name)
        return int(found[1]) if found else 0  # The first of a process bears none.

    return sorted((layer for layer in network.layers if isinstance(layer, kind)), key=number)
