"""Fields of the section `optimization`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.config_sections.checks import check, check_types


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """How gradients become updates."""

    optimizer: Literal["sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw"] = "sgd"
    """The update rule."""
    learning_rate: float = 2.0
    """Peak learning rate."""
    schedule: Literal["constant", "staircase", "cosine"] = "staircase"
    """`staircase` multiplies by decay_factor every decay_epochs; `cosine` falls to 0 at the last step."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly from 0."""
    decay_epochs: float = 8.0
    """Epochs between two steps of the staircase."""
    decay_factor: float = 0.5
    """Factor of each step of the staircase."""
    encoder_learning_rate_factor: float = 1.0
    """Factor on the learning rate of a trained encoder."""
    clip_norm: float = 5.0
    """Largest global norm of the gradient, after summing over replicas; 0 turns clipping off."""
    weight_decay: float = 0.0
    """Decay of weight matrices per step, times the learning rate (adamw only)."""
    label_smoothing: float = 0.0
    """Probability mass that training spreads over all words; validation never smooths."""

    def __post_init__(self) -> None:
        check_types(self, "optimization")
        for name in ("learning_rate", "decay_epochs", "decay_factor"):
            check(getattr(self, name) > 0, f"optimization.{name}", getattr(self, name), "must be positive")
        for name in ("warmup_steps", "clip_norm", "weight_decay", "encoder_learning_rate_factor"):
            check(getattr(self, name) >= 0, f"optimization.{name}", getattr(self, name), "must not be negative")
        check(0 <= self.label_smoothing < 1, "optimization.label_smoothing", self.label_smoothing, "must be in [0, 1)")
        check(
            self.weight_decay == 0 or self.optimizer == "adamw",
            "optimization.weight_decay",
            self.weight_decay,
            f"only adamw decays weights, the optimizer is {self.optimizer}",
        )
