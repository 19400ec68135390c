"""Fields of the section `optimization`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.config_sections.checks import check, check_types


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """How gradients become updates."""

    optimizer: Literal["sgd", "momentum", "rmsprop", "adagrad", "adadelta", "adam", "adamw"] = "sgd"
    """The update rule."""
    momentum: float = 0.9
    """Share of the last update that goes on into the next (momentum, and beta 1 of adam and adamw)."""
    square_decay: float = 0.999
    """Share of the old in the mean of squared gradients (rmsprop, adadelta, and beta 2 of adam and adamw)."""
    learning_rate: float = 2.0
    """Peak learning rate."""
    schedule: Literal["constant", "staircase", "exponential", "cosine"] = "staircase"
    """`staircase` multiplies by decay_factor every decay_epochs, `exponential` falls as fast without steps; `cosine`
    falls to 0 at the last step."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly from 0."""
    decay_epochs: float = 8.0
    """Epochs between two steps of the staircase."""
    decay_from_epoch: float = 0.0
    """Epoch at which staircase and exponential set in."""
    decay_factor: float = 0.5
    """Factor of each step of the staircase."""
    encoder_learning_rate_factor: float = 1.0
    """Factor on the learning rate of a trained encoder."""
    clip_value: float = 0.0
    """Largest absolute value of any number of the gradient, after summing over replicas; 0 turns this clipping off."""
    clip_norm: float = 5.0
    """Largest global norm of the gradient after that; 0 turns this clipping off."""
    weight_decay: float = 0.0
    """Decay of weight matrices per step, times the learning rate (adamw only)."""
    label_smoothing: float = 0.0
    """Probability mass that training spreads over all words; validation never smooths."""
    word_dropout_rate: float = 0.0
    """Share of a caption's words that the decoder reads as `<UNK>` in training; `<S>` stays."""
    scheduled_sampling_rate: float = 0.0
    """Share of a caption's words in whose place the decoder reads words drawn from its own prediction, at the end of
    training; it rises there from 0 in a straight line."""
    scheduled_sampling_from_epoch: float = 0.0
    """Epoch at which that share begins to rise."""
    ema_decay: float = 0.0
    """Share of the old, per step, in a moving average of the weights, which validations, the best checkpoint's scores
    and captions then are of; 0 keeps none."""

    def __post_init__(self) -> None:
        check_types(self, "optimization")
        for name in ("learning_rate", "decay_epochs", "decay_factor"):
            check(getattr(self, name) > 0, f"optimization.{name}", getattr(self, name), "must be positive")
        for name in (
            "warmup_steps",
            "clip_value",
            "clip_norm",
            "weight_decay",
            "encoder_learning_rate_factor",
            "decay_from_epoch",
            "scheduled_sampling_from_epoch",
        ):
            check(getattr(self, name) >= 0, f"optimization.{name}", getattr(self, name), "must not be negative")
        for name in ("momentum", "square_decay", "label_smoothing", "word_dropout_rate", "ema_decay"):
            check(0 <= getattr(self, name) < 1, f"optimization.{name}", getattr(self, name), "must be in [0, 1)")
        sampled = self.scheduled_sampling_rate
        check(0 <= sampled <= 1, "optimization.scheduled_sampling_rate", sampled, "must be in [0, 1]")
        self._check_used()

    def _check_used(self) -> None:
        """A knob that would change nothing is refused."""
        check(
            self.weight_decay == 0 or self.optimizer == "adamw",
            "optimization.weight_decay",
            self.weight_decay,
            f"only adamw decays weights, the optimizer is {self.optimizer}",
        )
        for name, default, users in (
            ("momentum", 0.9, ("momentum", "adam", "adamw")),
            ("square_decay", 0.999, ("rmsprop", "adadelta", "adam", "adamw")),
        ):
            value = getattr(self, name)
            rule = f"only {', '.join(users)} use it, the optimizer is {self.optimizer}"
            check(value == default or self.optimizer in users, f"optimization.{name}", value, rule)
        check(
            self.decay_from_epoch == 0 or self.schedule in ("staircase", "exponential"),
            "optimization.decay_from_epoch",
            self.decay_from_epoch,
            f"only staircase and exponential set in, the schedule is {self.schedule}",
        )
        check(
            self.scheduled_sampling_from_epoch == 0 or self.scheduled_sampling_rate > 0,
            "optimization.scheduled_sampling_from_epoch",
            self.scheduled_sampling_from_epoch,
            "needs a scheduled_sampling_rate above 0",
        )
