"""What a run remembers beside its weights, so that a resumed one reports as if it had never stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from im2txt.training.train_step import StepMetrics

_FIELDS = ("elapsed_secs", "interval_secs", "interval_steps", "loss_sum", "words", "gradient_norm", "l2_loss")


class RunProgress:
    """The time a run has taken over all its starts, and the sums since its last log line.

    Attributes:
        variables: by name, for checkpoints; as of the last call of `add` or `start_interval`.
    """

    def __init__(self) -> None:
        """Starts the clock."""
        self.variables = {name: tf.Variable(0.0, dtype=tf.float64, trainable=False) for name in _FIELDS}
        self._last_look = time.monotonic()

    def restart_clock(self) -> None:
        """Leaves out the time since the last look, in which the run was not trained."""
        self._last_look = time.monotonic()

    def add(self, metrics: StepMetrics, steps: int) -> None:
        """Adds what so many steps gave, and the time they took."""
        secs = self._look()
        added = {
            "interval_secs": secs,
            "interval_steps": steps,
            "loss_sum": metrics.loss_sum,
            "words": metrics.words,
            "gradient_norm": metrics.gradient_norm,
            "l2_loss": metrics.l2_loss,
        }
        for name, value in added.items():
            self.variables[name].assign_add(value)

    def start_interval(self) -> None:
        """Forgets the sums: the next log line begins here."""
        for name in _FIELDS[1:]:
            self.variables[name].assign(0.0)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time spent within counts for the run, not for the speed of its steps."""
        self._look()
        yield
        self._look()

    @property
    def elapsed_secs(self) -> float:
        """Seconds of the run so far, over all its starts."""
        self._look()
        return float(self.variables["elapsed_secs"].numpy())

    def per_step(self, name: str) -> float:
        """Returns the mean over the interval's steps of one of the variables."""
        return self.sum(name) / max(self.sum("interval_steps"), 1.0)

    def sum(self, name: str) -> float:
        """Returns the sum over the interval's steps of one of the variables."""
        return float(self.variables[name].numpy())

    def _look(self) -> float:
        now = time.monotonic()
        secs, self._last_look = now - self._last_look, now
        self.variables["elapsed_secs"].assign_add(secs)
        return secs
