"""The end of a run whose training has gone wrong, with what is known of how."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from im2txt.configuration import ExperimentConfig
from im2txt.training.train_step import StepMetrics

_MARGIN_NATS = 2.0
_SUSTAINED_STEPS = 100


@dataclasses.dataclass(frozen=True)
class _Look:
    """The means over the steps between two looks."""

    first_step: int
    last_step: int
    loss: float
    gradient_norm: float

    @classmethod
    def of(cls, first_step: int, last_step: int, metrics: StepMetrics) -> _Look:
        return cls(
            first_step,
            last_step,
            metrics.loss_sum / max(metrics.words, 1.0),
            metrics.gradient_norm / (last_step - first_step),
        )

    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


class Guard:
    """Ends a run whose loss is no number, or has exploded.

    Exploded it has when for 100 steps on end it is more than 2 nats above ln V, where the model would be if it took all
    words for equally likely: so wrong is only who is sure of the wrong words.
    """

    def __init__(
        self,
        first_step: int,
        vocab_size: int,
        learning_rate: Callable[[tf.Tensor], tf.Tensor],
        config: ExperimentConfig,
    ):
        """Keeps the parts.

        Args:
            first_step: where the run begins or goes on.
            vocab_size: V.
            learning_rate: of the step, for the message.
            config: what the message advises to change.
        """
        self._step, self._learning_rate, self._config = first_step, learning_rate, config
        self._uniform = math.log(vocab_size)
        self._before: _Look | None = None  # The last look that was in order.
        self._exploding_since: int | None = None

    def next_step(self, step: int) -> int | None:
        """Whenever the loop looks up."""

    def __call__(self, step: int, metrics: StepMetrics) -> bool:
        """Raises RuntimeError that names the steps, the figures and what to try."""
        look = _Look.of(self._step, step, metrics)
        self._step = step
        if not look.is_finite():
            raise RuntimeError(self._message(look, "is no number that training can use"))
        if look.loss <= self._uniform + _MARGIN_NATS:
            self._before, self._exploding_since = look, None
            return False
        if self._exploding_since is None:
            self._exploding_since = look.first_step
        if step - self._exploding_since >= _SUSTAINED_STEPS:
            what = (
                f"has exploded: since step {self._exploding_since} it is above {self._uniform + _MARGIN_NATS:.2f}, and "
                f"{self._uniform:.2f} is what all words equally likely give"
            )
            raise RuntimeError(self._message(look, what))
        return False

    def _message(self, look: _Look, what: str) -> str:
        before = f" Last in order: {self._figures(self._before)}." if self._before else ""
        return (
            f"The loss {what}. {self._figures(look).capitalize()}.{before} In a new --workdir "
            f"{', or '.join(self._advice())}; training.start_from=THIS_RUN starts it from this run's best weights."
        )

    def _figures(self, look: _Look) -> str:
        rate = float(self._learning_rate(tf.constant(look.last_step - 1, tf.int64)))
        return (
            f"the loss is {look.loss:.4g} between steps {look.first_step} and {look.last_step}, the gradient's norm "
            f"{look.gradient_norm:.4g}, the learning rate {rate:.2g}"
        )

    def _advice(self) -> list[str]:
        config = self._config.optimization
        advice = ["lower optimization.learning_rate"]
        if not config.clip_norm:
            advice.append("set optimization.clip_norm=5")
        else:
            advice.append(f"lower optimization.clip_norm={config.clip_norm:g}")
        advice.append(f"lengthen optimization.warmup_steps={config.warmup_steps}")
        if self._config.training.compute_dtype != "float32":
            advice.append("set training.compute_dtype=float32")
        return advice
