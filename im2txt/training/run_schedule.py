"""The lengths of a run, in steps."""

from __future__ import annotations

import dataclasses
import math

from im2txt.configuration import TrainingConfig


@dataclasses.dataclass(frozen=True)
class RunSchedule:
    """When a run ends, and when it is validated.

    Attributes:
        steps_per_epoch: steps of one pass over the training examples, not rounded.
        total_steps: steps of the whole run.
        eval_steps: steps between two validations, not rounded; at least 1.
    """

    steps_per_epoch: float
    total_steps: int
    eval_steps: float

    @classmethod
    def of(cls, config: TrainingConfig, examples_per_epoch: int, batch_size: int) -> RunSchedule:
        """Turns the configuration's epochs into steps.

        Args:
            config: how many epochs to train, and between two validations.
            examples_per_epoch: over all workers.
            batch_size: examples per step, over all replicas.
        """
        steps_per_epoch = examples_per_epoch / batch_size
        return cls(
            steps_per_epoch,
            total_steps=math.ceil(config.num_epochs * steps_per_epoch),
            eval_steps=max(1.0, config.eval_every_epochs * steps_per_epoch),
        )

    def step_at(self, epoch: float) -> int:
        """Returns the number of steps after which so many passes over the examples are made."""
        return math.ceil(epoch * self.steps_per_epoch)

    def next_evaluation(self, step: int) -> int:
        """Returns the first step after this one that is followed by a validation; the last step always is."""
        return min(math.ceil((math.floor(step / self.eval_steps) + 1) * self.eval_steps), self.total_steps)

    def is_evaluation(self, step: int) -> bool:
        """Whether a validation follows this step."""
        return step == self.total_steps or math.floor(step / self.eval_steps) > math.floor((step - 1) / self.eval_steps)
