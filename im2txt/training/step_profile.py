"""A profile of some training steps, for TensorBoard."""

from __future__ import annotations

import os
from types import TracebackType

import tensorflow as tf

from im2txt.training.train_step import StepMetrics


class ProfileSteps:
    """Profiles a range of steps in the process that it is used in; it is a context around the loop.

    Steps that a resumed run has behind it are not profiled, which is said.
    """

    def __init__(self, workdir: str, steps: tuple[int, int], first_step: int, total_steps: int):
        """Keeps the parts.

        Args:
            workdir: the profile goes to its `tensorboard/plugins/profile`.
            steps: number of the step before the first that is profiled, and of the last.
            first_step: where the run begins or goes on.
            total_steps: steps of the whole run.

        Raises:
            ValueError: if the run does not have these steps.
        """
        self._start, self._stop = steps
        if self._stop > total_steps:
            raise ValueError(
                f"--profile_steps={self._start}:{self._stop}: the run has {total_steps} steps. Name steps before its "
                "end."
            )
        self._directory = os.path.join(workdir, "tensorboard")
        self._first_step, self._is_on = first_step, False

    def __enter__(self) -> ProfileSteps:
        if self._start < self._first_step:
            print(f"No profile: step {self._start} is over, the run goes on from {self._first_step}.", flush=True)
        elif self._start == self._first_step:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def next_step(self, step: int) -> int | None:
        """Both ends of the range."""
        return next((edge for edge in (self._start, self._stop) if edge > step), None)

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Begins and ends the profile."""
        if step == self._start:
            self._begin()
        elif step == self._stop:
            self._end()
        return False

    def _begin(self) -> None:
        tf.profiler.experimental.start(self._directory)
        self._is_on = True

    def _end(self) -> None:
        if self._is_on:
            self._is_on = False
            tf.profiler.experimental.stop()
            print(f"Profiled the steps after {self._start} up to {self._stop}: {self._directory}", flush=True)
