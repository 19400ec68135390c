"""What happens between the steps of a run: figures, validation, checkpoints, stopping. See `training_loop.Action`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import tensorflow as tf

from im2txt.runs.metric_writer import MetricWriter
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.run_progress import RunProgress
from im2txt.training.run_schedule import RunSchedule
from im2txt.training.strategies import Distribution
from im2txt.training.train_step import StepMetrics, Trainer


class RunLog:
    """Where a run's figures go: printed lines and rows of metrics; nowhere from workers that are not the chief."""

    def __init__(self, writer: MetricWriter | None, progress: RunProgress, steps_per_epoch: float):
        """Keeps the parts; `writer` is None where nothing is to be told."""
        self._writer, self._progress, self._steps_per_epoch = writer, progress, steps_per_epoch

    def tell(self, line: str) -> None:
        """Prints one line."""
        if self._writer is not None:
            print(line, flush=True)

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Writes one row, with the seconds that the run has taken."""
        if self._writer is not None:
            elapsed = round(self._progress.elapsed_secs, 3)
            self._writer.write(kind, step, step / self._steps_per_epoch, values | {"time": elapsed})


class LogSteps:
    """Writes a row of training every so many steps, and after the last."""

    def __init__(
        self,
        log: RunLog,
        progress: RunProgress,
        schedule: RunSchedule,
        every_steps: int,
        captions_per_step: int,
        trainer: Trainer,
    ):
        """Keeps the parts.

        Args:
            log: where rows go.
            progress: the sums since the last row.
            schedule: lengths of the run.
            every_steps: steps between two rows.
            captions_per_step: over all replicas.
            trainer: at the step where the run begins or goes on.
        """
        self._log, self._progress, self._schedule = log, progress, schedule
        self._every_steps, self._captions_per_step = every_steps, captions_per_step
        self._learning_rate, self._before = trainer.learning_rate, trainer.step

    def next_step(self, step: int) -> int | None:
        """The next multiple."""
        return (step // self._every_steps + 1) * self._every_steps

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Adds to the sums, and writes the row where one is due."""
        self._progress.add(metrics, step - self._before)
        self._before = step
        if step % self._every_steps == 0 or step == self._schedule.total_steps:
            self._write(step)
            self._progress.start_interval()
        return False

    def _write(self, step: int) -> None:
        progress = self._progress
        steps_per_sec = 1.0 / max(progress.per_step("interval_secs"), 1e-9)
        captions_per_sec = steps_per_sec * self._captions_per_step
        loss = progress.sum("loss_sum") / max(progress.sum("words"), 1.0)
        rate = float(self._learning_rate(tf.constant(step - 1, tf.int64)))
        eta = int((self._schedule.total_steps - step) / steps_per_sec)
        l2_loss = progress.per_step("l2_loss")
        beside = f" + L2 {l2_loss:.4f}" if l2_loss else ""
        self._log.tell(
            f"train | step {step} | loss {loss:.4f}{beside} | perplexity {_exp(loss):.2f} | lr {rate:.1e} | "
            f"{steps_per_sec:.1f} steps/s | {captions_per_sec:.0f} captions/s | "
            f"eta {eta // 3600}:{eta // 60 % 60:02d}:{eta % 60:02d}"
        )
        values = {
            "loss": loss,
            "perplexity": _exp(loss),
            "learning_rate": rate,
            "gradient_norm": progress.per_step("gradient_norm"),
            "captions_per_sec": captions_per_sec,
        } | ({"l2_loss": l2_loss, "total_loss": loss + l2_loss} if l2_loss else {})
        self._log.write("train", step, values)


class SaveRegularly:
    """Saves a checkpoint when the chief's clock says so."""

    def __init__(self, saved: RunCheckpoints, progress: RunProgress, distribution: Distribution, every_secs: float):
        """Keeps the parts; the first checkpoint is due after `every_secs`."""
        self._saved, self._progress, self._distribution, self._every_secs = saved, progress, distribution, every_secs
        self._last_time = time.monotonic()

    def next_step(self, step: int) -> int | None:
        """Whenever the loop looks up."""

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Saves where it is due."""
        if self._distribution.any_worker(time.monotonic() - self._last_time > self._every_secs):
            with self._progress.pause():
                self._saved.save()
            self._last_time = time.monotonic()
        return False


class StopOnSignal:
    """Ends the run on every worker when one of them was asked to stop.

    Attributes:
        has_stopped: whether it has.
    """

    def __init__(self, stop_requested: Callable[[], bool], distribution: Distribution):
        """`stop_requested`: whether this process was."""
        self.has_stopped = False
        self._stop_requested, self._distribution = stop_requested, distribution

    def next_step(self, step: int) -> int | None:
        """Whenever the loop looks up."""

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """True if any worker was asked to stop."""
        self.has_stopped = self._distribution.any_worker(self._stop_requested())
        return self.has_stopped


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf
