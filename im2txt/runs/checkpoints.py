"""Which checkpoints a run has, and what of them is restored where.

    WORKDIR/checkpoints/    the latest, with everything a resumed run needs
    WORKDIR/best/           the one with the best validation, as complete
    WORKDIR/encoder/        the weights of an encoder that is not trained, once

Variables are saved under their stable names, not under the names of Python attributes or Keras layers' positions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import tensorflow as tf

from im2txt.runs import checkpoint_files
from im2txt.runs.run_files import BEST_DIRECTORY, ENCODER_DIRECTORY, LATEST_DIRECTORY

ENCODER_NAME = os.path.join(ENCODER_DIRECTORY, "weights")
GLOBAL_STEP = "global_step"
AVERAGE = "average"
"""Names in a checkpoint of the weights' moving averages start with this, where the run keeps them."""


def find_checkpoint(workdir: str) -> str:
    """Returns the path of a run's best checkpoint, or of its latest if none was validated yet or the best is damaged.

    Raises:
        FileNotFoundError: if the run has neither.
        RuntimeError: if all it has are damaged.
    """
    folders = [os.path.join(workdir, name) for name in (BEST_DIRECTORY, LATEST_DIRECTORY)]
    path = checkpoint_files.first_whole(
        [path for folder in folders for path in checkpoint_files.list_checkpoints(folder)]
    )
    if path is None:
        raise FileNotFoundError(
            f"No checkpoint in {folders[0]} or {folders[1]}. Train with `python -m im2txt.train --config=... "
            f"--workdir={workdir}` first."
        )
    return path


def find_newest(workdir: str) -> str | None:
    """Returns the path of the newest checkpoint that is whole, latest or best; None where there is none at all.

    Raises:
        RuntimeError: if there are checkpoints, and all are damaged: a run never starts anew over them by itself.
    """
    folders = [os.path.join(workdir, name) for name in (LATEST_DIRECTORY, BEST_DIRECTORY)]
    paths = [path for folder in folders for path in checkpoint_files.list_checkpoints(folder)]
    return checkpoint_files.first_whole(sorted(paths, key=checkpoint_files.step_of, reverse=True))


def restore_model(path: str, variables: Mapping[str, tf.Variable]) -> int:
    """Restores a captioner's variables from a checkpoint of a run and returns its global step.

    Weights of which the run keeps a moving average get that.

    Raises:
        ValueError: if the checkpoint is damaged, or its variables are not the model's.
    """
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    averaged = checkpoint_files.names_in(path)
    chosen = {
        f"{AVERAGE if f'{AVERAGE}/{name}' in averaged else 'model'}/{name}": variable
        for name, variable in variables.items()
    }
    # The optimizer's slots stay behind.
    checkpoint_files.read_checkpoint(path, {GLOBAL_STEP: step} | chosen, complete=False)
    return int(step)


def write_best(workdir: str, variables: Mapping[str, tf.Variable], step: int) -> None:
    """Writes a captioner's variables as a run's best checkpoint: all that a run which trains no more needs.

    Raises:
        RuntimeError: if they cannot be written.
    """
    of_step = tf.Variable(step, dtype=tf.int64, trainable=False)
    directory = os.path.join(workdir, BEST_DIRECTORY)
    checkpoint_files.save_numbered(directory, step, 1, {GLOBAL_STEP: of_step} | named("model", variables))


def write_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Writes named variables to the files `path.index` and `path.data-*`, whole or not at all.

    Raises:
        RuntimeError: if they cannot be written.
    """
    checkpoint_files.write_checkpoint(path, named("model", variables))


def read_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Reads what `write_variables` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or names or shapes differ.
    """
    if not tf.io.gfile.exists(f"{path}.index"):
        raise FileNotFoundError(f"No variables at {path}.index.")
    checkpoint_files.read_checkpoint(path, named("model", variables), complete=True)


def named(group: str, variables: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    """Returns the variables as `group/name`."""
    return {f"{group}/{name}": variable for name, variable in variables.items()}
