"""An exported model for TensorFlow Lite: pixels in, ids of words out.

Its own operators neither decode photographs nor join words to sentences; all the rest converts, with the same captions.
The application decodes, and looks words up in `word_counts.txt`.
"""

from __future__ import annotations

import os
import re

import tensorflow as tf

from im2txt.inference.exported_folder import FROM_IMAGES
from im2txt.system import storage

FILE_NAME = "captioner.tflite"
_WORDS = "captions"
_REFUSED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def write_tflite(folder: str) -> str:
    """Converts the signature `from_images` of an exported model, without `captions`, and writes it beside the model.

    Args:
        folder: of the SavedModel, local.

    Returns:
        The file's path.

    Raises:
        RuntimeError: with the operators that TensorFlow Lite lacks, if the search uses any.
    """
    loaded = tf.saved_model.load(folder)
    from_images = loaded.signatures[FROM_IMAGES]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")])
    def without_words(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: value for name, value in from_images(images=images).items() if name != _WORDS}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([without_words.get_concrete_function()], loaded)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        converted = converter.convert()
    except Exception as error:  # Its own class is no public name.
        found = _REFUSED.search(str(error))
        if found is None:
            raise
        raise RuntimeError(
            f"TensorFlow Lite has no {found[1]}, which this model needs; the SavedModel in {folder} is whole without."
        ) from error
    path = os.path.join(folder, FILE_NAME)
    storage.write_bytes(path, converted)
    return path
