"""The lengths of a run, in steps."""

from __future__ import annotations

import dataclasses
import math

from im2txt.configuration import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """Something that follows every so many steps, and the last one.

    Attributes:
        every_steps: not rounded, at least 1.
        total_steps: steps of the whole run.
    """

    every_steps: float
    total_steps: int

    def next(self, step: int) -> int:
        """Returns the first step after this one that it follows."""
        return min(math.ceil((math.floor(step / self.every_steps) + 1) * self.every_steps), self.total_steps)

    def is_due(self, step: int) -> bool:
        """Whether it follows this step."""
        passed = math.floor(step / self.every_steps) > math.floor((step - 1) / self.every_steps)
        return step == self.total_steps or passed


@dataclasses.dataclass(frozen=True)
class RunSchedule:
    """When a run ends, and when it is validated.

    Attributes:
        steps_per_epoch: steps of one pass over the training examples, not rounded.
        total_steps: steps of the whole run.
        evaluations: the validations by perplexity.
        caption_evaluations: the validations by captions, if there are any.
    """

    steps_per_epoch: float
    total_steps: int
    evaluations: Recurrence
    caption_evaluations: Recurrence | None

    @classmethod
    def of(cls, config: TrainingConfig, examples_per_epoch: int, batch_size: int) -> RunSchedule:
        """Turns the configuration's epochs into steps.

        Args:
            config: how many epochs to train, and between two validations.
            examples_per_epoch: over all workers.
            batch_size: examples per step, over all replicas.
        """
        steps_per_epoch = examples_per_epoch / batch_size
        total_steps = math.ceil(config.num_epochs * steps_per_epoch)

        def every(epochs: float) -> Recurrence:
            return Recurrence(max(1.0, epochs * steps_per_epoch), total_steps)

        captions = every(config.caption_every_epochs) if config.caption_every_epochs else None
        return cls(steps_per_epoch, total_steps, every(config.eval_every_epochs), captions)

    def step_at(self, epoch: float) -> int:
        """Returns the number of steps after which so many passes over the examples are made."""
        return math.ceil(epoch * self.steps_per_epoch)
