"""The file of an encoder that is a saved Keras model: kept with the run, which then needs the original no more."""

from __future__ import annotations

import dataclasses

from im2txt.configuration import EncoderConfig
from im2txt.runs.checkpoints import ENCODER_NAME
from im2txt.system import storage

SUFFIX = ".keras"


def keep_backbone(workdir: str, config: EncoderConfig) -> None:
    """Copies the file of a saved model into the run's folder, or compares it with the one that is there.

    Raises:
        FileNotFoundError: if it is neither there nor here.
        ValueError: if it is not the run's.
    """
    if not config.is_saved_model:
        return
    kept = storage.join(workdir, ENCODER_NAME + SUFFIX)
    if not storage.exists(config.backbone):
        if not storage.exists(kept):
            raise FileNotFoundError(f"encoder.backbone={config.backbone!r} is no file. Name a saved Keras model.")
        return
    content = storage.read_bytes(config.backbone)
    if not storage.exists(kept):
        storage.make_directory(storage.join(workdir, ENCODER_NAME).rpartition("/")[0])
        storage.write_bytes(kept, content)
    elif content != storage.read_bytes(kept):
        raise ValueError(
            f"encoder.backbone={config.backbone!r} is not the file that the run in {workdir} was started with; it is "
            f"kept as {kept}. Give it the old one, or name a new --workdir."
        )


def kept_backbone(workdir: str, config: EncoderConfig) -> EncoderConfig:
    """Returns the configuration with the run's own copy of a saved model, where it has one."""
    kept = storage.join(workdir, ENCODER_NAME + SUFFIX)
    if config.is_saved_model and storage.exists(kept):
        return dataclasses.replace(config, backbone=kept)
    return config
