"""Validation between the steps of a run: what is measured, what becomes of it, and when it ends the run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from im2txt.training.actions import RunLog
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.run_progress import RunProgress
from im2txt.training.run_schedule import Recurrence
from im2txt.training.train_step import StepMetrics


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a validation found; the same on every worker.

    Attributes:
        value: what decides, if this validation does.
        values: figures for the row of metrics.
        text: the same for people.
    """

    value: float
    values: Mapping[str, float]
    text: str


class Validate:
    """Validates every so many steps, and after the last.

    Of a run's validations one `decides`: it keeps the best checkpoint, and ends the run early where asked to.
    """

    def __init__(
        self,
        log: RunLog,
        progress: RunProgress,
        due: Recurrence,
        measure: Callable[[], Finding],
        decides: tuple[RunCheckpoints, int] | None,
        worst: float = 0.0,
    ):
        """Keeps the parts.

        Args:
            log: where rows go.
            progress: whose clock stands still meanwhile.
            due: when.
            measure: the validation.
            decides: the checkpoints, and the number of validations without a better one after which the run ends (0
                never ends it); None if another validation decides.
            worst: perplexity above which the run ends with an error; 0 never ends it, as it does not where captions
                are scored.
        """
        self._log, self._progress, self._due, self._measure = log, progress, due, measure
        self._decides, self._worst = decides, worst

    def next_step(self, step: int) -> int | None:
        """The next validation."""
        return self._due.next(step)

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Validates where it is due; True if it is time to stop early.

        Raises:
            RuntimeError: if the figure is no number, or the perplexity above the worst that is borne.
        """
        if not self._due.is_due(step):
            return False
        with self._progress.pause():
            found = self._measure()
        if math.isnan(found.value):
            raise RuntimeError(
                f"The validation after step {step} gives no number ({found.text}): weights are no numbers any more. "
                "Lower optimization.learning_rate in a new --workdir; the best checkpoint is from before."
            )
        saved, patience = self._decides or (None, 0)
        is_best = saved is not None and saved.is_best(found.value)
        # Rows before checkpoints: a run that is killed between the two writes them again, and loses none.
        self._log.tell(f"val   | step {step} | {found.text}{' | best so far' if is_best else ''}")
        self._log.write("val", step, dict(found.values))
        if 0 < self._worst < found.value:
            raise RuntimeError(
                f"The perplexity of the validation at step {step} is {found.value:.4f}, above "
                f"training.stop_above_perplexity={self._worst:g}. Lower optimization.learning_rate or lengthen "
                "optimization.warmup_steps in a new --workdir, or raise the limit to go on."
            )
        if saved is None:
            return False
        saved.note_validation(found.value)
        if not is_out_of_patience(saved, patience):
            return False
        self._log.tell(f"No better validation in {patience}: stopping early.")
        return True


def is_out_of_patience(saved: RunCheckpoints, patience: int) -> bool:
    """Whether as many validations as `patience` (0: any number) have gone by without a better one."""
    return 0 < patience <= int(saved.evaluations_since_best)


def by_perplexity(perplexity: Callable[[], tuple[float, int]]) -> Callable[[], Finding]:
    """Returns the validation by perplexity, of a function that gives it and its number of words."""

    def measure() -> Finding:
        value, words = perplexity()
        loss = math.log(value)
        text = f"loss {loss:.4f} | perplexity {value:.4f} | {words} words"
        return Finding(value, {"loss": loss, "perplexity": value}, text)

    return measure


def by_captions(cider: Callable[[], float], num_photographs: int) -> Callable[[], Finding]:
    """Returns the validation by CIDEr-D, of a function that gives it in [0, 10]."""

    def measure() -> Finding:
        value = cider()
        return Finding(value, {"CIDEr-D": value}, f"CIDEr-D {value:.4f} | {num_photographs} photographs")

    return measure
