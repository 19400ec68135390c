"""An exported model as what answers requests sees it: photographs to pixels, batches of pixels to captions.

TensorFlow alone reads it: neither Keras nor the code that built the model is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.inference.exported_folder import FROM_PREPARED, PREPARE, check_exported_folder, read_vocabulary
from im2txt.text.vocabulary import FILE_NAME as VOCABULARY_NAME


class ExportedModel:
    """A loaded SavedModel.

    Attributes:
        image_shape: of a prepared photograph, (S, S, 3).
    """

    def __init__(self, folder: str):
        """Loads what `im2txt.export` wrote; nothing is run yet.

        Args:
            folder: of the SavedModel, local.

        Raises:
            FileNotFoundError: if a file of it is missing.
            RuntimeError: if it is damaged, has words of another model, or is a SavedModel of another kind.
        """
        check_exported_folder(folder)
        again = "Export the run again: `python -m im2txt.export`."
        try:
            loaded = tf.saved_model.load(folder)
        except (OSError, ValueError, LookupError, tf.errors.OpError) as error:
            raise RuntimeError(f"{folder} cannot be loaded, it is damaged or half copied: {error}. {again}") from error
        missing = [name for name in (PREPARE, FROM_PREPARED) if name not in loaded.signatures]
        if missing:
            raise RuntimeError(
                f"{folder} has no signature {' or '.join(missing)}: this im2txt.export did not write it. {again}"
            )
        fingerprint = getattr(loaded, "vocabulary_sha256", None)  # Exports of earlier versions have none.
        if fingerprint is not None and fingerprint.numpy().decode() != read_vocabulary(folder).fingerprint():
            raise RuntimeError(f"{folder}/{VOCABULARY_NAME} is changed or cut: its words are not the model's. {again}")
        self._held = loaded  # A signature alone does not keep its variables alive.
        self._prepare = loaded.signatures[PREPARE]
        self._caption = loaded.signatures[FROM_PREPARED]
        self.image_shape: tuple[int, ...] = tuple(self._prepare.structured_outputs["images"].shape[1:])

    def prepare(self, encoded_image: bytes) -> np.ndarray:
        """Decodes a JPEG as the encoder wants it; may be called from several threads at once.

        Args:
            encoded_image: a JPEG as `images.image_files.to_jpeg` returns it.

        Returns:
            float32 [S, S, 3] in [0, 1].

        Raises:
            UnusablePhotographError: if the decoder refuses the data.
        """
        try:
            images = self._prepare(encoded_images=tf.constant([encoded_image]))["images"]
        except tf.errors.InvalidArgumentError as error:  # Its markers are in place, its pixels are not.
            raise UnusablePhotographError("damaged", "the decoder refuses its data") from error
        return images.numpy()[0]

    def caption(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Captions prepared photographs.

        Args:
            images: float32 [N, S, S, 3] in [0, 1].

        Returns:
            The outputs of the SavedModel by name, each [N, K] or [N, K, L]; the model's card describes them.
        """
        outputs: dict[str, Any] = self._caption(images=tf.constant(images, tf.float32))
        return {name: value.numpy() for name, value in outputs.items()}
