"""The files in a run's folder, for whoever reads a run without its model, and so without TensorFlow."""

from __future__ import annotations

import os
import re

from im2txt.configuration import ExperimentConfig
from im2txt.system import storage

CONFIG_NAME = "config.json"
DATA_NAME = "data_manifest.json"
METRICS_NAME = "metrics.jsonl"
BEST_DIRECTORY = "best"
LATEST_DIRECTORY = "checkpoints"
ENCODER_DIRECTORY = "encoder"
SAMPLES_NAME = "samples.jsonl"
EVALUATION_NAME = "evaluation"
"""Holds one folder of results per scored split."""
_CHECKPOINT_SUFFIX = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")


def read_run_config(workdir: str) -> ExperimentConfig:
    """Reads the run's configuration.

    Raises:
        FileNotFoundError: if the folder holds no run.
        NotADirectoryError: if it is a file.
        ValueError: if the configuration is damaged.
    """
    if os.path.isfile(workdir):
        raise NotADirectoryError(f"{workdir} is a file; a run is the folder that im2txt.train was given as --workdir.")
    path = storage.join(workdir, CONFIG_NAME)
    if not storage.exists(path):
        raise FileNotFoundError(f"No {path}: {workdir!r} is no run of im2txt.train.")
    return ExperimentConfig.from_json(storage.read_text(path), path)


def run_of_checkpoint(checkpoint_path: str) -> tuple[str, str] | None:
    """Returns the run that a checkpoint is of, and the checkpoint; None if it is of none of this project's.

    Args:
        checkpoint_path: `WORKDIR/best/ckpt-STEP` or one of its files; or one of the folders above it, for the best.

    Returns:
        The run's folder, and the checkpoint's path without suffix, empty for the best.
    """
    folder = os.path.abspath(checkpoint_path)
    checkpoint = "" if os.path.isdir(folder) else _CHECKPOINT_SUFFIX.sub("", checkpoint_path)
    for _ in range(3):
        if os.path.isfile(os.path.join(folder, CONFIG_NAME)):
            return folder, checkpoint
        folder = os.path.dirname(folder)
    return None
