"""The outer loop: steps, and between them whatever actions it is given. It knows none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from im2txt.training.train_step import StepMetrics, Trainer


class Action(Protocol):
    """Something to be done between steps: log, validate, save, stop."""

    def next_step(self, step: int) -> int | None:
        """Returns the first step after this one at which the action must be called; None if any later one will do."""

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Acts; called between all calls of the trainer, due or not.

        Args:
            step: updates done.
            metrics: sums over the steps since the last call.

        Returns:
            Whether the run shall end here. The actions after this one are still called.
        """


def run_steps(
    trainer: Trainer, batches: Iterator[object], total_steps: int, steps_per_call: int, actions: Sequence[Action]
) -> None:
    """Trains until the last step, or until an action ends the run.

    Args:
        trainer: where it stands, the loop begins.
        batches: endless, from the trainer's step on.
        total_steps: step after which the run is finished.
        steps_per_call: most steps between two calls of the actions.
        actions: called in this order.
    """
    step, ended = trainer.step, False
    while step < total_steps and not ended:
        due = [at for at in (action.next_step(step) for action in actions) if at is not None]
        next_step = min(*due, total_steps, step + steps_per_call)
        metrics = trainer.train_steps(batches, next_step - step)
        step = next_step
        for action in actions:
            ended |= action(step, metrics)
