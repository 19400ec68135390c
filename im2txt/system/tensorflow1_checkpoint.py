"""Checkpoint files of TensorFlow 1: variables by name, in one file (V1) or in `.index` and `.data-*` files (V2)."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

_V2_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_TENSORFLOW_2_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Tensorflow1Checkpoint:
    """An open checkpoint; values are read when asked for.

    Attributes:
        path: as TensorFlow wants it, without the suffixes of V2 files.
        shapes: of every variable, by name.
    """

    def __init__(self, path: str):
        """Opens a checkpoint and reads its names.

        Args:
            path: a V1 file; a V2 checkpoint by its prefix or by one of its files; or a folder, whose latest is taken.

        Raises:
            FileNotFoundError: if there is no such file, or a V2 checkpoint lacks its data.
            ValueError: if it is no checkpoint, or one of TensorFlow 2.
        """
        self.path = _find(path)
        try:
            self._reader = tf.train.load_checkpoint(self.path)
            shapes = self._reader.get_variable_to_shape_map()
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of TensorFlow, or was cut short: {_first_line(error)}"
            ) from error
        if _TENSORFLOW_2_GRAPH in shapes:
            raise ValueError(
                f"{self.path} is a checkpoint of TensorFlow 2, whose variables have other names. A run of this project "
                "needs no import: give its folder as --workdir."
            )
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(shape) for name, shape in sorted(shapes.items())}

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Returns a variable's value.

        Args:
            name: of a variable.
            shape: that it must have.

        Raises:
            ValueError: naming the variable if it is missing, misshapen, not of numbers or cannot be read.
        """
        if name not in self.shapes:
            scopes = dict.fromkeys(re.sub("/.*", "/*", name) for name in self.shapes)
            raise ValueError(
                f"{self.path} has no variable {name!r} (wanted: {list(shape)}). It holds {', '.join(scopes)}: it may "
                "be of another network."
            )
        if self.shapes[name] != shape:
            raise ValueError(
                f"Variable {name!r} of {self.path} has shape {list(self.shapes[name])}; this model wants "
                f"{list(shape)}: the checkpoint may be of another network."
            )
        try:
            value = np.asarray(self._reader.get_tensor(name))
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise ValueError(
                f"Variable {name!r} of {self.path} cannot be read, its file is damaged or cut short: "
                f"{_first_line(error)}"
            ) from error
        if value.dtype.kind not in "fiu" or not np.all(np.isfinite(value)):
            raise ValueError(f"Variable {name!r} of {self.path} holds values that are no finite numbers.")
        return value


def write_tensorflow1_checkpoint(path: str, values: Mapping[str, np.ndarray]) -> None:
    """Writes `path.index` and `path.data-00000-of-00001` (V2), which a Saver of TensorFlow 1 restores by name.

    The index is put in place last: without it there is no checkpoint.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    names = sorted(values)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=os.path.dirname(path) or ".") as folder:
        prefix = os.path.join(folder, "checkpoint")
        tensors = [tf.constant(values[name]) for name in names]
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
        for suffix in (".data-00000-of-00001", ".index"):
            os.replace(prefix + suffix, path + suffix)


def _find(path: str) -> str:
    if os.path.isdir(path):
        latest = tf.train.latest_checkpoint(path)
        if not latest:
            raise FileNotFoundError(f"{path} holds no checkpoint (no file `checkpoint` that names one).")
        return str(latest)
    path = _V2_SUFFIX.sub("", path)
    if os.path.isfile(path):
        return path
    if not os.path.exists(f"{path}.index"):
        raise FileNotFoundError(f"No checkpoint {path}: neither that file (V1) nor {path}.index (V2) is there.")
    if not tf.io.gfile.glob(f"{path}.data-*"):
        raise FileNotFoundError(
            f"{path}.index is there without its {path}.data-00000-of-00001, which holds the weights; copy both."
        )
    return path


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
