"""A moving average of the weights, which is what a run is judged by and captions with where it keeps one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import tensorflow as tf


class WeightAverage:
    """The exponential moving average of named weights.

    After n + 1 updates it moves by 1 - min(decay, (1 + n) / (10 + n)) of its distance to the weights: early on it
    follows fast, so that initial weights are soon forgotten.

    Attributes:
        variables: the averages by the weights' names, for checkpoints; empty where decay is 0.

    Source: Polyak & Juditsky 1992; the early decay is that of TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, decay: float, weights: Mapping[str, tf.Variable]):
        """Starts from the weights as they are.

        Args:
            strategy: under whose scope the weights were made.
            decay: in [0, 1); 0 keeps no average.
            weights: by name.
        """
        self._strategy, self._decay = strategy, decay
        self._weights = dict(weights) if decay else {}
        with strategy.scope():
            self.variables = {
                name: tf.Variable(tf.convert_to_tensor(weight), trainable=False, name=f"average/{name}")
                for name, weight in self._weights.items()
            }
        self._swap = tf.function(lambda: strategy.run(self._swap_replica))

    def update(self, names: Iterable[str], step: tf.Tensor) -> None:
        """Follows the weights of these names; call it in each replica after the update that `step` others precede."""
        done = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + done) / (10.0 + done))
        for name in self.variables.keys() & set(names):
            average = self.variables[name]
            # A weight that rests stays equal to its average, to the bit.
            moved = (tf.convert_to_tensor(average) - tf.convert_to_tensor(self._weights[name])) * share
            tf.raw_ops.AssignSubVariableOp(resource=average.handle, value=moved)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the weights are the averages; afterwards what they were, to the bit."""
        if not self.variables:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap_replica(self) -> None:
        for name, average in self.variables.items():
            weight = self._weights[name]
            values = tf.identity(tf.convert_to_tensor(weight)), tf.identity(tf.convert_to_tensor(average))
            tf.raw_ops.AssignVariableOp(resource=average.handle, value=values[0])
            tf.raw_ops.AssignVariableOp(resource=weight.handle, value=values[1])
