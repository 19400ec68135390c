"""The checkpoints of a run in training: the latest ones and the best."""

from __future__ import annotations

import os

import tensorflow as tf

from im2txt.runs.checkpoints import BEST_DIRECTORY, LATEST_DIRECTORY, restore_variables, trackable
from im2txt.training.train_step import Trainer


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
            model=trackable(trainer.captioner.variables),
            optimizer=trackable(trainer.optimizer.variables),
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
        restore_variables(path, self._checkpoint.restore, complete=True)
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
