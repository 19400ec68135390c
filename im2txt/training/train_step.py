"""The inner loop: training steps inside the graph, under any `tf.distribute` strategy.

    words of all replicas -> each one's losses over that number -> gradients -> summed over replicas -> L2 added
    -> clipped -> applied on each replica

so that n replicas compute what one would with the whole batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.model.captioner import Captioner
from im2txt.training.batch_loss import Batch, BatchLoss
from im2txt.training.fed_words import FedWords
from im2txt.training.optimization import Optimizer, add_l2, clip
from im2txt.training.weight_average import WeightAverage

_STEP_SEED_STREAM = 7  # Keeps dropout's seeds apart from other uses of the run's seed.


@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """Sums over the steps of one call, in float64: the same however the steps are divided into calls.

    Attributes:
        loss_sum: nats, over all words.
        words: predicted words.
        gradient_norm: global norm before clipping.
        l2_loss: what an encoder's kernels add to the loss.
    """

    loss_sum: float
    words: float
    gradient_norm: float
    l2_loss: float = 0.0


class Trainer:
    """Captioner, optimizer and step counter, and the function that advances all three.

    Attributes:
        captioner: the model.
        optimizer: its slots, and the step from which the encoder is trained.
        average: of the weights, where one is kept.
        global_step: int64 [], updates done.
        learning_rate: float32 [] as a function of global_step.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        captioner: Captioner,
        optimizer: Optimizer,
        learning_rate: Callable[[tf.Tensor], tf.Tensor],
        config: OptimizationConfig,
        seed: int,
        fed_words: FedWords | None = None,
        l2_regularization: float = 0.0,
        accumulation_steps: int = 1,
    ):
        """Keeps the parts; captioner and optimizer were built under the strategy's scope.

        Args:
            strategy: where steps are computed.
            captioner: the model, with the weights it starts from.
            optimizer: of its weights.
            learning_rate: see the class.
            config: what the loss is, and how gradients are clipped.
            seed: of all draws.
            fed_words: what the decoder reads; None gives it the captions' words.
            l2_regularization: see `EncoderConfig`.
            accumulation_steps: see `TrainingConfig`; a divisor of a replica's photographs.
        """
        self._strategy = strategy
        self.learning_rate = learning_rate
        self._config = config
        self._seed = seed
        self._l2_regularization = l2_regularization
        self._loss = BatchLoss(captioner, fed_words, config.label_smoothing, accumulation_steps)
        self.captioner = captioner
        self.optimizer = optimizer
        self.average = WeightAverage(strategy, config.ema_decay, captioner.trainable_variables)
        with strategy.scope():
            self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="global_step")
        self._train_steps = {
            with_encoder: tf.function(self._build_train_steps(with_encoder), reduce_retracing=True)
            for with_encoder in (False, True)
        }

    @property
    def step(self) -> int:
        """Updates done."""
        return int(self.global_step.numpy())  # One of its copies, where there are several.

    def train_steps(self, batches: Any, num_steps: int) -> StepMetrics:
        """Takes `num_steps` steps on batches from a (distributed) iterator and advances `global_step`."""
        without_encoder = min(max(self.optimizer.encoder_from_step - self.step, 0), num_steps)
        sums = np.zeros(len(dataclasses.fields(StepMetrics)))
        for with_encoder, steps in ((False, without_encoder), (True, num_steps - without_encoder)):
            if steps:
                sums += self._train_steps[with_encoder](batches, tf.constant(steps)).numpy()
        return StepMetrics(*sums.tolist())

    def _build_train_steps(self, with_encoder: bool) -> Callable[[Any, tf.Tensor], tf.Tensor]:
        strategy = self._strategy

        def replica_step(batch: Batch, step: tf.Tensor) -> tf.Tensor:
            return self._replica_step(batch, step, with_encoder)

        def train_steps(batches: Any, num_steps: tf.Tensor) -> tf.Tensor:
            sums = tf.zeros([len(dataclasses.fields(StepMetrics))], tf.float64)
            for _ in tf.range(num_steps):
                step = self.global_step.read_value()
                figures = strategy.run(replica_step, args=(next(batches), step))
                sums += tf.cast(strategy.experimental_local_results(figures)[0], tf.float64)  # All replicas' are equal.
                self.global_step.assign_add(1)
            return sums

        return train_steps

    def _replica_step(self, batch: Batch, step: tf.Tensor, with_encoder: bool) -> tf.Tensor:
        """Returns the fields of `StepMetrics`, float32 [4], the same on all replicas."""
        replica_context = tf.distribute.get_replica_context()
        replica = tf.cast(replica_context.replica_id_in_sync_group, tf.int64)
        step_seed = tf.stack([tf.constant(self._seed * 1000 + _STEP_SEED_STREAM, tf.int64), step])
        seed = tf.random.fold_in(step_seed, replica)
        variables = self.optimizer.trained(with_encoder)
        words = replica_context.all_reduce("SUM", tf.reduce_sum(tf.cast(batch["mask"], tf.float32)))
        of_replica = self._loss.gradients(batch, list(variables.values()), words, step, seed, with_encoder)
        loss_sum, gradients = replica_context.all_reduce("SUM", of_replica)
        gradients, l2_loss = add_l2(gradients, variables, self._l2_regularization)
        gradients, norm = clip(gradients, self._config.clip_value, self._config.clip_norm)
        self.optimizer.apply(dict(zip(variables, gradients, strict=True)), self.learning_rate(step), step)
        self.average.update(variables, step)
        return tf.stack([loss_sum, words, norm, l2_loss])
