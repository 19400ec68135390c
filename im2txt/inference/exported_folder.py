"""What lies in the folder of an exported model; found out without TensorFlow."""

from __future__ import annotations

import os

from im2txt.system import storage
from im2txt.text import vocabulary
from im2txt.text.vocabulary import Vocabulary

FROM_FILES = "serving_default"
FROM_IMAGES = "from_images"
PREPARE = "prepare_images"
FROM_PREPARED = "from_prepared_images"
"""The signatures: bytes or pixels to captions; and the first of them in two steps, for services that batch."""
_MODEL_NAME = "saved_model.pb"
_VARIABLES = os.path.join("variables", "variables.index")


def check_new_folder(output_dir: str) -> None:
    """Raises ValueError if something stands where an export is to go."""
    if os.path.lexists(output_dir):
        raise ValueError(f"--output_dir={output_dir} is there already. Name a new folder, or remove this one.")


def check_exported_folder(folder: str) -> None:
    """Raises FileNotFoundError if the folder, or one of its files, is not there; what they hold is not looked at."""
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "is not there"
        raise FileNotFoundError(f"{folder} {what}; name the folder that `python -m im2txt.export` wrote.")
    missing = [
        name
        for name in (_MODEL_NAME, _VARIABLES, vocabulary.FILE_NAME)
        if not os.path.isfile(os.path.join(folder, name))
    ]
    if missing:
        raise FileNotFoundError(
            f"{folder} is no exported model, or half of one: {', '.join(missing)} missing. Name the folder that "
            "`python -m im2txt.export` wrote, or copy it again, whole."
        )


def read_vocabulary(folder: str) -> Vocabulary:
    """Returns the model's vocabulary; ValueError, FileNotFoundError or UnfitFileError if it is none."""
    path = os.path.join(folder, vocabulary.FILE_NAME)
    return Vocabulary.from_text(storage.read_text(path, storage.MAX_DOCUMENT_BYTES), path)
