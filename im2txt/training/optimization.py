"""Update rules, learning-rate schedules and clipping, on TensorFlow's fused kernels.

One kernel updates a weight and its slots in one pass; written as separate operations the same update of 12,000-word
embeddings costs several times as long on a CPU. Gradients come in summed over replicas, so that clipping sees what one
machine with the whole batch would see, and every replica applies the same update.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from im2txt.configuration import OptimizationConfig

# Customary constants of the update rules; nobody has asked to turn them.
_MOMENTUM = 0.9
_BETA_1, _BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8
_RMSPROP_DECAY, _RMSPROP_EPSILON = 0.999, 1e-8
_ADAGRAD_EPSILON = 1e-8

_SLOTS = {
    "sgd": (),
    "momentum": ("momentum",),
    "rmsprop": ("mean_square", "momentum"),
    "adagrad": ("accumulator",),
    "adam": ("m", "v"),
    "adamw": ("m", "v"),
}


def learning_rate(config: OptimizationConfig, step: tf.Tensor, steps_per_epoch: float, total_steps: int) -> tf.Tensor:
    """Returns the rate of the update that follows `step` updates.

    Args:
        config: rate, schedule and warm-up.
        step: int64 [], updates done.
        steps_per_epoch: updates per pass over the captions.
        total_steps: updates of the whole run.

    Returns:
        float32 [].
    """
    step = tf.cast(step, tf.float32)
    factor = tf.constant(1.0)
    if config.schedule == "staircase":
        # As in the original, whose 8 epochs of 586,363 captions in batches of 32 are int(146,590.75) steps.
        decay_steps = max(1, int(config.decay_epochs * steps_per_epoch))
        factor = config.decay_factor ** tf.floor(step / decay_steps)
    elif config.schedule == "cosine":
        length = max(1, total_steps - config.warmup_steps)
        progress = tf.clip_by_value((step - config.warmup_steps) / length, 0.0, 1.0)
        factor = 0.5 * (1.0 + tf.cos(math.pi * progress))
    if config.warmup_steps:
        factor *= tf.minimum(1.0, (step + 1.0) / config.warmup_steps)
    return config.learning_rate * factor


def clip_by_global_norm(gradients: Sequence[tf.Tensor], clip_norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Scales the gradients so that their joint norm is at most `clip_norm` (0: leaves them as they are).

    Returns:
        The gradients, and their norm before clipping: float32 [].
    """
    norm = tf.linalg.global_norm(gradients)
    if clip_norm == 0:
        return list(gradients), norm
    return list(tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)[0]), norm


class Optimizer:
    """Applies one update rule to named variables.

    Attributes:
        variables: slots by `<variable>/<slot>`, for checkpoints.
    """

    def __init__(self, config: OptimizationConfig, variables: dict[str, tf.Variable]):
        """Creates the slots; call it under the strategy's scope."""
        self._config = config
        self._trained = dict(variables)
        self.variables: dict[str, tf.Variable] = {
            f"{name}/{slot}": tf.Variable(np.zeros(variable.shape, np.float32), trainable=False, name=f"{name}/{slot}")
            for name, variable in variables.items()
            for slot in _SLOTS[config.optimizer]
        }

    def apply(self, gradients: dict[str, tf.Tensor], rate: tf.Tensor, step: tf.Tensor) -> None:
        """Updates every variable; call it in each replica, with the same gradients.

        Args:
            gradients: by the variable's name, dense, clipped.
            rate: float32 [], learning rate.
            step: int64 [], updates done before this one.
        """
        for name, variable in self._trained.items():
            is_encoder = name.startswith("encoder/")
            factor = self._config.encoder_learning_rate_factor if is_encoder else 1.0
            slots = [self.variables[f"{name}/{slot}"].handle for slot in _SLOTS[self._config.optimizer]]
            self._update(variable, slots, gradients[name], rate * factor, step)

    def _update(
        self, variable: tf.Variable, slots: list[tf.Tensor], gradient: tf.Tensor, rate: tf.Tensor, step: tf.Tensor
    ) -> None:
        handle, raw = variable.handle, tf.raw_ops
        rule = self._config.optimizer
        if rule == "sgd":
            raw.ResourceApplyGradientDescent(var=handle, alpha=rate, delta=gradient)
        elif rule == "momentum":
            raw.ResourceApplyMomentum(var=handle, accum=slots[0], lr=rate, grad=gradient, momentum=_MOMENTUM)
        elif rule == "rmsprop":
            raw.ResourceApplyRMSProp(
                var=handle,
                ms=slots[0],
                mom=slots[1],
                lr=rate,
                rho=_RMSPROP_DECAY,
                momentum=0.0,
                epsilon=_RMSPROP_EPSILON,
                grad=gradient,
            )
        elif rule == "adagrad":
            raw.ResourceApplyAdagradV2(
                var=handle, accum=slots[0], lr=rate, epsilon=_ADAGRAD_EPSILON, grad=gradient, update_slots=True
            )
        else:
            if self._config.weight_decay and variable.shape.rank >= 2:
                decay = tf.convert_to_tensor(variable) * (rate * self._config.weight_decay)
                raw.AssignSubVariableOp(resource=handle, value=decay)
            updates = tf.cast(step + 1, tf.float32)
            raw.ResourceApplyAdam(
                var=handle,
                m=slots[0],
                v=slots[1],
                beta1_power=_BETA_1**updates,
                beta2_power=_BETA_2**updates,
                lr=rate,
                beta1=_BETA_1,
                beta2=_BETA_2,
                epsilon=_ADAM_EPSILON,
                grad=gradient,
            )
