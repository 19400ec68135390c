"""The checkpoints of a run in training: the latest ones and the best."""

from __future__ import annotations

import os
from collections.abc import Mapping

import tensorflow as tf

from im2txt.config_sections.training_config import BestBy
from im2txt.runs import checkpoint_files, checkpoints
from im2txt.runs.checkpoints import AVERAGE, GLOBAL_STEP, named
from im2txt.runs.run_files import BEST_DIRECTORY, LATEST_DIRECTORY
from im2txt.training.train_step import Trainer

_PROGRESS = "progress"


class RunCheckpoints:
    """The checkpoints of one training run."""

    def __init__(
        self,
        workdir: str,
        trainer: Trainer,
        keep: int,
        progress: Mapping[str, tf.Variable] | None = None,
        writes: bool = True,
        best_by: BestBy = "perplexity",
    ):
        """Keeps the parts; nothing is restored yet.

        Args:
            workdir: the run's folder.
            trainer: whose model, optimizer, average and step are saved.
            keep: latest checkpoints kept.
            progress: what else is saved, by name; checkpoints of older versions may lack it.
            writes: whether this process is the one that saves; the others only restore.
            best_by: the figure that tells which validation is the best: the lowest perplexity, or the highest CIDEr-D.
        """
        self._is_lower_better = best_by == "perplexity"
        worst = float("inf") if self._is_lower_better else float("-inf")
        self.best_value = tf.Variable(worst, dtype=tf.float64, trainable=False)
        self.evaluations_since_best = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._workdir, self._keep, self._writes = workdir, keep, writes
        self._trainer = trainer
        self._variables = (
            {
                GLOBAL_STEP: trainer.global_step,
                f"best_{best_by}": self.best_value,
                "evaluations_since_best": self.evaluations_since_best,
            }
            | named("model", trainer.captioner.variables)
            | named("optimizer", trainer.optimizer.variables)
            | named(AVERAGE, trainer.average.variables)
            | named(_PROGRESS, progress or {})
        )
        self._saved_state: tuple[float, ...] | None = None

    def restore(self) -> bool:
        """Restores the newest checkpoint that is whole; returns whether there was any.

        Raises:
            RuntimeError: if there are checkpoints, and all are damaged.
            ValueError: if the checkpoint's variables are not the model's.
        """
        if self._writes:
            for name in (LATEST_DIRECTORY, BEST_DIRECTORY):
                checkpoint_files.remove_leftovers(os.path.join(self._workdir, name))
        path = checkpoints.find_newest(self._workdir)
        if path is None:
            return False
        checkpoint_files.read_checkpoint(path, self._variables, complete=True, optional=f"{_PROGRESS}/")
        if os.path.dirname(path).endswith(LATEST_DIRECTORY):
            self._saved_state = self._state()
        return True

    def save(self) -> None:
        """Saves the run as it stands, unless its latest checkpoint is just that.

        Raises:
            RuntimeError: if it cannot be written, as on a full disk; the one before is still there then.
        """
        if self._state() != self._saved_state:
            self._write(LATEST_DIRECTORY, self._keep)
            self._saved_state = self._state()

    def is_best(self, value: float) -> bool:
        """Whether a validation is better than all before; one that is no number never is."""
        best = float(self.best_value)
        return value < best if self._is_lower_better else value > best

    def note_validation(self, value: float) -> None:
        """Takes note of a validation; saves if it is the best so far."""
        if not self.is_best(value):
            self.evaluations_since_best.assign_add(1)
            return
        self.best_value.assign(value)
        self.evaluations_since_best.assign(0)
        self._write(BEST_DIRECTORY, 1)

    def _state(self) -> tuple[float, ...]:
        """What tells two states of one run apart: nothing else changes while none of these does."""
        return float(self._trainer.step), float(self.best_value), float(self.evaluations_since_best)

    def _write(self, directory: str, keep: int) -> None:
        if self._writes:
            checkpoint_files.save_numbered(
                os.path.join(self._workdir, directory), self._trainer.step, keep, self._variables
            )
