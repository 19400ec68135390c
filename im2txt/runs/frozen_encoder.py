"""The encoder of a run that does not train it: kept with the run at its start, and the same from then on."""

from __future__ import annotations

import os

import tensorflow as tf

from im2txt.configuration import NO_WEIGHTS
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs.checkpoints import ENCODER_NAME, read_variables, write_variables
from im2txt.runs.kept_backbone import SUFFIX
from im2txt.runs.run_folder import FEATURE_ENCODER_NAME
from im2txt.system import storage

_SUFFIXES = (".data-00000-of-00001", ".index")


def keep_encoder(workdir: str, encoder: ImageEncoder, weights: str) -> None:
    """Writes an encoder into the run's folder, or gives it the weights that the run has there already.

    Args:
        workdir: the run's folder.
        encoder: as the configuration builds it.
        weights: `encoder.weights`; where they are random (`none`), another machine may draw others.

    Raises:
        RuntimeError: if the weights cannot be written.
        ValueError: if the configuration's weights are not the run's.
    """
    kept = os.path.join(workdir, ENCODER_NAME)
    if not tf.io.gfile.exists(f"{kept}.index"):
        write_variables(kept, encoder.variables)
        return
    given = encoder.fingerprint()
    read_variables(kept, encoder.variables)
    if weights != NO_WEIGHTS and encoder.fingerprint() != given:
        raise _exchanged(f"encoder.weights={weights!r}", workdir)


def keep_feature_encoder(workdir: str, data_dir: str) -> None:
    """Copies the encoder behind a folder of features into the run's folder, or compares it with the one that is there.

    Raises:
        FileNotFoundError: if the folder of features lacks its encoder.
        ValueError: if its encoder is not the run's.
    """
    kept, source = os.path.join(workdir, ENCODER_NAME), storage.join(data_dir, FEATURE_ENCODER_NAME)
    for suffix in _SUFFIXES:
        if not storage.exists(source + suffix):
            raise FileNotFoundError(
                f"No {source}{suffix}: the feature shards lack their encoder. Run `python -m data_prep.cache_features`."
            )
    storage.make_directory(os.path.dirname(kept))
    suffixes = (SUFFIX, *_SUFFIXES) if storage.exists(source + SUFFIX) else _SUFFIXES
    is_kept = storage.exists(kept + _SUFFIXES[-1])
    for suffix in suffixes:  # The index last: with it the encoder is whole.
        content = storage.read_bytes(source + suffix)
        if not is_kept:
            storage.write_bytes(kept + suffix, content)
        elif content != storage.read_bytes(kept + suffix):
            raise _exchanged(f"{source}{suffix}", workdir)


def _exchanged(what: str, workdir: str) -> ValueError:
    return ValueError(
        f"{what} is not the encoder that the run in {workdir} was started with: its weights differ from those in "
        f"{os.path.join(workdir, ENCODER_NAME)}, and a run keeps its encoder. Give it the old one, or name a new "
        "--workdir."
    )
