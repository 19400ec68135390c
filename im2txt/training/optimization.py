"""Update rules, learning-rate schedules and clipping, on TensorFlow's fused kernels.

One kernel updates a weight and its slots in one pass; written as separate operations the same update of 12,000-word
embeddings costs several times as long on a CPU. Gradients come in summed over replicas, so that clipping sees what one
machine with the whole batch would see, and every replica applies the same update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from im2txt.configuration import OptimizationConfig

_EPSILON = 1e-8  # Of all update rules that divide.
_ENCODER = "encoder/"  # The start of the names of an encoder's weights.

_SLOTS = {
    "sgd": (),
    "momentum": ("momentum",),
    "rmsprop": ("mean_square", "momentum"),
    "adagrad": ("accumulator",),
    "adadelta": ("accumulator", "accumulated_update"),
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
    if config.schedule in ("staircase", "exponential"):
        # As in the original, whose 8 epochs of 586,363 captions in batches of 32 are int(146,590.75) steps.
        decay_steps = max(1, int(config.decay_epochs * steps_per_epoch))
        decays = tf.maximum(step - int(config.decay_from_epoch * steps_per_epoch), 0.0) / decay_steps
        factor = config.decay_factor ** (tf.floor(decays) if config.schedule == "staircase" else decays)
    elif config.schedule == "cosine":
        length = max(1, total_steps - config.warmup_steps)
        progress = tf.clip_by_value((step - config.warmup_steps) / length, 0.0, 1.0)
        factor = 0.5 * (1.0 + tf.cos(math.pi * progress))
    if config.warmup_steps:
        factor *= tf.minimum(1.0, (step + 1.0) / config.warmup_steps)
    return config.learning_rate * factor


def add_l2(
    gradients: Sequence[tf.Tensor], variables: Mapping[str, tf.Variable], scale: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Adds to the gradients those of half `scale` times the sum of the encoder's squared kernels.

    Args:
        gradients: dense, summed over replicas; one for each variable.
        variables: by name; biases and the numbers of a normalisation are spared.
        scale: 0 adds nothing.

    Returns:
        The gradients, and what was added to the loss: float32 [].

    Source: the weight decay of slim's Inception v3.
    """
    added, loss = list(gradients), tf.constant(0.0)
    for index, (name, variable) in enumerate(variables.items()):
        if scale and name.startswith(_ENCODER) and variable.shape.rank >= 2:
            kernel = tf.convert_to_tensor(variable)
            added[index] += scale * kernel
            loss += scale * tf.nn.l2_loss(kernel)
    return added, loss


def clip(gradients: Sequence[tf.Tensor], clip_value: float, clip_norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Clips every number to plus or minus `clip_value`, then scales all to a joint norm of at most `clip_norm`.

    Args:
        gradients: dense, summed over replicas.
        clip_value: 0 leaves them as they are.
        clip_norm: likewise.

    Returns:
        The gradients, and their norm before any clipping: float32 [].
    """
    norm = tf.linalg.global_norm(gradients)
    clipped, clipped_norm = list(gradients), norm
    if clip_value:
        clipped = [tf.clip_by_value(gradient, -clip_value, clip_value) for gradient in clipped]
        clipped_norm = tf.linalg.global_norm(clipped) if clip_norm else norm
    if clip_norm:
        clipped = list(tf.clip_by_global_norm(clipped, clip_norm, use_norm=clipped_norm)[0])
    return clipped, norm


class Optimizer:
    """Applies one update rule to named variables: the decoder's, and from a step on an encoder's.

    Attributes:
        encoder_from_step: updates before the first one of an encoder's weights.
        variables: slots by `<variable>/<slot>`, for checkpoints.
    """

    def __init__(self, config: OptimizationConfig, variables: dict[str, tf.Variable], encoder_from_step: int = 0):
        """Creates the slots; call it under the strategy's scope."""
        self._config = config
        self._variables = dict(variables)
        self.encoder_from_step = encoder_from_step
        self.variables: dict[str, tf.Variable] = {
            f"{name}/{slot}": tf.Variable(np.zeros(variable.shape, np.float32), trainable=False, name=f"{name}/{slot}")
            for name, variable in variables.items()
            for slot in _SLOTS[config.optimizer]
        }

    def trained(self, with_encoder: bool) -> dict[str, tf.Variable]:
        """Returns the variables that steps update which train the encoder too, or the decoder alone."""
        return {name: v for name, v in self._variables.items() if with_encoder or not name.startswith(_ENCODER)}

    def apply(self, gradients: dict[str, tf.Tensor], rate: tf.Tensor, step: tf.Tensor) -> None:
        """Updates the variables there are gradients of; call it in each replica, with the same gradients.

        Args:
            gradients: by the variable's name, dense, clipped.
            rate: float32 [], learning rate.
            step: int64 [], updates done before this one.
        """
        for name, gradient in gradients.items():
            is_encoder = name.startswith(_ENCODER)
            factor = self._config.encoder_learning_rate_factor if is_encoder else 1.0
            updates = step - self.encoder_from_step if is_encoder else step
            slots = [self.variables[f"{name}/{slot}"].handle for slot in _SLOTS[self._config.optimizer]]
            self._update(self._variables[name], slots, gradient, rate * factor, updates)

    def _update(
        self, variable: tf.Variable, slots: list[tf.Tensor], gradient: tf.Tensor, rate: tf.Tensor, updates: tf.Tensor
    ) -> None:
        """Updates one variable; `updates`, int64 [], are those that it has had."""
        handle, raw = variable.handle, tf.raw_ops
        momentum, square_decay = self._config.momentum, self._config.square_decay
        rule = self._config.optimizer
        if rule == "sgd":
            raw.ResourceApplyGradientDescent(var=handle, alpha=rate, delta=gradient)
        elif rule == "momentum":
            raw.ResourceApplyMomentum(var=handle, accum=slots[0], lr=rate, grad=gradient, momentum=momentum)
        elif rule == "rmsprop":
            raw.ResourceApplyRMSProp(
                var=handle,
                ms=slots[0],
                mom=slots[1],
                lr=rate,
                rho=square_decay,
                momentum=0.0,
                epsilon=_EPSILON,
                grad=gradient,
            )
        elif rule == "adagrad":
            raw.ResourceApplyAdagradV2(
                var=handle, accum=slots[0], lr=rate, epsilon=_EPSILON, grad=gradient, update_slots=True
            )
        elif rule == "adadelta":
            raw.ResourceApplyAdadelta(
                var=handle,
                accum=slots[0],
                accum_update=slots[1],
                lr=rate,
                rho=square_decay,
                epsilon=_EPSILON,
                grad=gradient,
            )
        else:
            if self._config.weight_decay and variable.shape.rank >= 2:
                decay = tf.convert_to_tensor(variable) * (rate * self._config.weight_decay)
                raw.AssignSubVariableOp(resource=handle, value=decay)
            power = tf.cast(updates + 1, tf.float32)
            raw.ResourceApplyAdam(
                var=handle,
                m=slots[0],
                v=slots[1],
                beta1_power=momentum**power,
                beta2_power=square_decay**power,
                lr=rate,
                beta1=momentum,
                beta2=square_decay,
                epsilon=_EPSILON,
                grad=gradient,
            )
