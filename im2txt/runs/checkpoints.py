"""Runs on disk: what a checkpoint holds, and how it is saved, found and restored.

    WORKDIR/checkpoints/    the latest, with everything a resumed run needs
    WORKDIR/best/           the one with the best validation perplexity
    WORKDIR/encoder/        the weights of an encoder that is not trained, once

Variables are saved under their stable names, not under the names of Python attributes or Keras layers' positions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

LATEST_DIRECTORY = "checkpoints"
BEST_DIRECTORY = "best"
ENCODER_NAME = os.path.join("encoder", "weights")


def find_checkpoint(workdir: str) -> str:
    """Returns the path of a run's best checkpoint, or of its latest if none was validated yet.

    Raises:
        FileNotFoundError: if the run has neither.
    """
    for directory in (BEST_DIRECTORY, LATEST_DIRECTORY):
        path = tf.train.latest_checkpoint(os.path.join(workdir, directory))
        if path:
            return str(path)
    raise FileNotFoundError(
        f"No checkpoint in {workdir}/{BEST_DIRECTORY} or {workdir}/{LATEST_DIRECTORY}. Train with "
        f"`python -m im2txt.train --config=... --workdir={workdir}` first."
    )


def restore_model(path: str, variables: Mapping[str, tf.Variable]) -> int:
    """Restores a captioner's variables from a checkpoint of a run and returns its global step.

    Raises:
        ValueError: if the checkpoint's variables are not the model's.
    """
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    checkpoint = tf.train.Checkpoint(global_step=step, model=trackable(variables))
    restore_variables(path, checkpoint.read, complete=False)  # The optimizer's slots stay behind.
    return int(step)


def write_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Writes named variables to the files `path.index` and `path.data-*`."""
    tf.train.Checkpoint(model=trackable(variables)).write(path)


def read_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Reads what `write_variables` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if names or shapes differ.
    """
    if not os.path.exists(f"{path}.index"):
        raise FileNotFoundError(f"No variables at {path}.index.")
    restore_variables(path, tf.train.Checkpoint(model=trackable(variables)).read, complete=True)


def trackable(variables: Mapping[str, tf.Variable]) -> dict[str, Any]:
    """Nests `a/b/c` as dicts, which TensorFlow saves under just these names."""
    tree: dict[str, Any] = {}
    for name, variable in variables.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = variable
    return tree


def restore_variables(path: str, restore: Callable[[str], Any], complete: bool) -> None:
    """Restores every variable of the model; with `complete`, nothing in the checkpoint may be left over either."""
    try:
        status = restore(path).assert_existing_objects_matched()
        if complete:
            status.assert_consumed()
        else:
            status.expect_partial()
    except (AssertionError, ValueError, IndexError, tf.errors.OpError) as error:  # IndexError: a file cut short.
        raise ValueError(
            f"Checkpoint {path} does not fit this model: {str(error).splitlines()[0]} The run's config.json, "
            "word_counts.txt and checkpoints belong together; use a new workdir for another model."
        ) from error
