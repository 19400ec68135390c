"""The JSON documents in a run's folder, checked as far as pages rely on them."""

from __future__ import annotations

import os
from typing import Any

from im2txt.runs import run_files
from im2txt.system import storage
from im2txt.system.json_text import JsonError, parse_json

SCORES_NAME = "scores.json"
_SCORED = ("scores", "floor", "human")
"""Parts of scores.json: the captions' own figures, and what they are compared with."""


def read_json(path: str) -> Any:
    """Returns the file's content, or None if there is no such file; ValueError if it is damaged."""
    if not os.path.exists(path):
        return None
    try:
        return parse_json(storage.read_text(path))
    except JsonError as error:
        raise ValueError(f"{path} is {error}.") from error


def read_config(workdir: str) -> dict[str, Any]:
    """Returns a run's configuration as it is written, of whatever version.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if the file is damaged.
    """
    path = os.path.join(workdir, run_files.CONFIG_NAME)
    config = read_json(path)
    if config is None:
        raise FileNotFoundError(f"No {path}: {workdir!r} is no run of im2txt.train.")
    if not isinstance(config, dict):
        raise ValueError(f"{path} is no configuration of a run: an object is wanted, not {str(config)[:40]!r}.")
    return config


def read_scores(results_dir: str) -> dict[str, Any] | None:
    """Returns scores.json of an evaluation, or None if there is none; ValueError if it is something else."""
    path = os.path.join(results_dir, SCORES_NAME)
    scores = read_json(path)
    if scores is None:
        return None
    try:
        for part in _SCORED:
            of_part = scores[part] if part == "scores" else scores[part]["scores"]
            for name, value in of_part.items():
                if not isinstance(value, int | float):
                    raise ValueError(f"{name} of {part} is {value!r}")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not what im2txt.evaluate writes: {error!r}. Evaluate the split again.") from error
    return dict(scores)
