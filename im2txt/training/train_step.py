"""The inner loop: training steps inside the graph, under any `tf.distribute` strategy.

    words, loss of each replica -> loss over the global batch's words -> gradients -> summed over replicas -> clipped
    -> applied on each replica

so that n replicas compute what one would with the whole batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.model.captioner import Captioner
from im2txt.training.optimization import Optimizer, clip_by_global_norm

Batch = dict[str, tf.Tensor]
_STEP_SEED_STREAM = 7  # Keeps dropout's seeds apart from other uses of the run's seed.


@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """Sums over the steps of one call, in float64: the same however the steps are divided into calls.

    Attributes:
        loss_sum: nats, over all words.
        words: predicted words.
        gradient_norm: global norm before clipping.
    """

    loss_sum: float
    words: float
    gradient_norm: float


class Trainer:
    """Captioner, optimizer and step counter, and the function that advances all three.

    Attributes:
        captioner: the model.
        optimizer: its slots.
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
    ):
        """Keeps the parts; captioner and optimizer were built under the strategy's scope."""
        self._strategy = strategy
        self.learning_rate = learning_rate
        self._config = config
        self._seed = seed
        self.captioner = captioner
        self.optimizer = optimizer
        with strategy.scope():
            self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="global_step")
        self._train_steps = tf.function(self._build_train_steps(), reduce_retracing=True)

    @property
    def step(self) -> int:
        """Updates done."""
        return int(self.global_step.numpy())  # One of its copies, where there are several.

    def train_steps(self, batches: Any, num_steps: int) -> StepMetrics:
        """Takes `num_steps` steps on batches from a (distributed) iterator and advances `global_step`."""
        return StepMetrics(*self._train_steps(batches, tf.constant(num_steps)).numpy().tolist())

    def _build_train_steps(self) -> Callable[[Any, tf.Tensor], tf.Tensor]:
        strategy = self._strategy

        def train_steps(batches: Any, num_steps: tf.Tensor) -> tf.Tensor:
            sums = tf.zeros([3], tf.float64)
            for _ in tf.range(num_steps):
                step = self.global_step.read_value()
                figures = strategy.run(self._replica_step, args=(next(batches), step))
                sums += tf.cast(strategy.experimental_local_results(figures)[0], tf.float64)  # All replicas' are equal.
                self.global_step.assign_add(1)
            return sums

        return train_steps

    def _replica_step(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        """Returns float32 [3]: all replicas' sum of losses and number of words, and the norm of the gradient."""
        replica_context = tf.distribute.get_replica_context()
        replica = tf.cast(replica_context.replica_id_in_sync_group, tf.int64)
        step_seed = tf.stack([tf.constant(self._seed * 1000 + _STEP_SEED_STREAM, tf.int64), step])
        dropout_seed = tf.random.fold_in(step_seed, replica)
        variables = self.captioner.trainable_variables
        with tf.GradientTape() as tape:
            losses = self.captioner.word_losses(batch, dropout_seed, self._config.label_smoothing)
            loss_sum = tf.reduce_sum(losses)
            figures = tf.stop_gradient(tf.stack([loss_sum, tf.cast(tf.size(losses), tf.float32)]))
            figures = replica_context.all_reduce("SUM", figures)
            loss = loss_sum / tf.maximum(figures[1], 1.0)
        # Dense: the norm of an embedding's IndexedSlices would count a repeated word as separate rows.
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, list(variables.values()))]
        gradients = replica_context.all_reduce("SUM", gradients)
        gradients, norm = clip_by_global_norm(gradients, self._config.clip_norm)
        self.optimizer.apply(dict(zip(variables, gradients, strict=True)), self.learning_rate(step), step)
        return tf.stack([figures[0], figures[1], norm])
