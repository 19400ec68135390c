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

from im2txt.trainer import Trainer

LATEST_DIRECTORY = "checkpoints"
BEST_DIRECTORY = "best"
ENCODER_NAME = os.path.join("encoder", "weights")


class RunCheckpoints:
    """The checkpoints of one training run."""

    def __init__(self, workdir: str, trainer: Trainer, keep: int):
        """Finds what is in `workdir`; nothing is restored yet.

        Args:
            workdir: the run's folder.
            trainer: whose model, optimizer and step are saved.
            keep: latest checkpoints kept.
        """
        self.best_perplexity = tf.Variable(float("inf"), dtype=tf.float64, trainable=False)
        self.evaluations_since_best = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._step = trainer.global_step
        checkpoint = tf.train.Checkpoint(
            global_step=trainer.global_step,
            model=_trackable(trainer.captioner.variables),
            optimizer=_trackable(trainer.optimizer.variables),
            best_perplexity=self.best_perplexity,
            evaluations_since_best=self.evaluations_since_best,
        )
        self._checkpoint = checkpoint
        self._latest = tf.train.CheckpointManager(checkpoint, os.path.join(workdir, LATEST_DIRECTORY), keep)
        self._best = tf.train.CheckpointManager(checkpoint, os.path.join(workdir, BEST_DIRECTORY), 1)

    def restore(self) -> bool:
        """Restores the latest checkpoint; returns whether there was one.

        Raises:
            ValueError: if the checkpoint's variables are not the model's.
        """
        path = self._latest.latest_checkpoint
        if path is None:
            return False
        _restore(path, self._checkpoint.restore, complete=True)
        return True

    def save(self) -> str:
        """Saves the run as it stands; returns the checkpoint's path."""
        return str(self._latest.save(checkpoint_number=int(self._step)))

    def save_if_best(self, perplexity: float) -> bool:
        """Takes note of a validation; saves and returns True if it is the best so far."""
        if perplexity >= float(self.best_perplexity):
            self.evaluations_since_best.assign_add(1)
            return False
        self.best_perplexity.assign(perplexity)
        self.evaluations_since_best.assign(0)
        self._best.save(checkpoint_number=int(self._step))
        return True


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
    checkpoint = tf.train.Checkpoint(global_step=step, model=_trackable(variables))
    _restore(path, checkpoint.read, complete=False)  # The optimizer's slots stay behind.
    return int(step)


def write_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Writes named variables to the files `path.index` and `path.data-*`."""
    tf.train.Checkpoint(model=_trackable(variables)).write(path)


def read_variables(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Reads what `write_variables` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if names or shapes differ.
    """
    if not os.path.exists(f"{path}.index"):
        raise FileNotFoundError(f"No variables at {path}.index.")
    _restore(path, tf.train.Checkpoint(model=_trackable(variables)).read, complete=True)


def _trackable(variables: Mapping[str, tf.Variable]) -> dict[str, Any]:
    """Nests `a/b/c` as dicts, which TensorFlow saves under just these names."""
    tree: dict[str, Any] = {}
    for name, variable in variables.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = variable
    return tree


def _restore(path: str, restore: Callable[[str], Any], complete: bool) -> None:
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
