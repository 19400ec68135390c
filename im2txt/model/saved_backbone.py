"""A saved Keras model as an encoder's backbone: any network of one's own, its input and output read from the file.

The model takes photographs float32 [B, S, S, 3] in 0 to 255, RGB; what it makes of that range (a `Rescaling` layer,
say) is saved within it. It gives one feature map [B, h, w, c] or one vector [B, F].
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from typing import Any

import keras

from im2txt.system import storage

_ARCHITECTURE_NAME = "config.json"
_MAX_BYTES = 1 << 34


def load_saved_backbone(path: str, image_size: int) -> Any:
    """Loads a model and gives its input a size, if the file leaves it open.

    Args:
        path: a `.keras` file, local or remote.
        image_size: side of the input in pixels; 0 takes the file's.

    Returns:
        A Keras model from [B, S, S, 3] to what the file's model gives, all of whose layers may be trained.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no saved Keras model, holds code of its own (Lambda layers, unknown classes), takes
            something else than photographs of that size, or gives something else than a feature map or a vector.
    """
    model = _load(path)
    size = _check_input(model, path, image_size)
    network = model
    if model.input.shape[1] is None:
        images = keras.Input((size, size, 3))
        network = keras.Model(images, model(images))
    shape = network.output_shape
    if not isinstance(shape, tuple) or len(shape) not in (2, 4) or None in shape[1:]:
        _refuse(path, f"it gives {_shown(shape)}, neither a feature map [h, w, c] nor a vector [F]")
    network.trainable = True  # Whether it is trained is the configuration's to say, not the file's.
    return network


def read_architecture(path: str) -> bytes:
    """Returns what the file says of the model's layers: part of what tells two encoders apart."""
    with storage.opened(path, _MAX_BYTES) as file, zipfile.ZipFile(file) as archive:
        return archive.read(_ARCHITECTURE_NAME)


def _load(path: str) -> Any:
    if not storage.exists(path):
        raise FileNotFoundError(f"encoder.backbone={path!r} is no file. Name a saved Keras model (.keras).")
    try:
        with storage.opened(path, _MAX_BYTES) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no .keras file")
        if not storage.is_remote(path):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "backbone.keras")
            with open(local, "wb") as copy:
                copy.write(storage.read_bytes(path, _MAX_BYTES))
            return keras.saving.load_model(local, compile=False, safe_mode=True)
    except Exception as error:  # Keras has no narrower kind: what it raises depends on what is wrong with the file.
        # Keras repeats the whole model's configuration before what is wrong, and advises after it.
        reason = str(error).rpartition("Exception encountered: ")[2].strip().partition("\n")[0].partition(". ")[0]
        if "lambda" in str(error).lower():
            reason = "it has a Lambda layer, whose code is never run; save the model with layers of Keras instead"
        raise ValueError(f"encoder.backbone={path!r} cannot be loaded as a saved Keras model: {reason}") from error


def _check_input(model: Any, path: str, image_size: int) -> int:
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    shape = shapes[0] if len(shapes) == 1 else ()
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        _refuse(path, f"it takes {_shown(shapes)}, not photographs [S, S, 3]")
    if shape[1] is None and not image_size:
        _refuse(path, "it takes photographs of any size; set encoder.image_size")
    if shape[1] is not None and image_size not in (0, shape[1]):
        _refuse(path, f"it takes photographs of {shape[1]} pixels, and encoder.image_size={image_size}; leave it at 0")
    return int(shape[1] or image_size)


def _shown(shapes: Any) -> str:
    return str(shapes) if shapes else "nothing"


def _refuse(path: str, reason: str) -> None:
    raise ValueError(f"encoder.backbone={path!r} is no encoder of photographs: {reason}.")
