"""The files in a run's folder, for whoever reads a run without its model, and so without TensorFlow."""

from __future__ import annotations

import os

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
