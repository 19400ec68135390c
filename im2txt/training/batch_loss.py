"""The loss of one replica's batch and its gradients, all at once or part by part."""

from __future__ import annotations

import tensorflow as tf

from im2txt.model.captioner import Captioner
from im2txt.training.fed_words import FedWords

Batch = dict[str, tf.Tensor]


class BatchLoss:
    """The mean loss of a step's words as far as one replica's batch makes it up."""

    def __init__(self, captioner: Captioner, fed_words: FedWords | None, label_smoothing: float, num_parts: int):
        """Keeps the parts.

        Args:
            captioner: the model.
            fed_words: what the decoder reads; None gives it the captions' words.
            label_smoothing: see `losses.word_losses`.
            num_parts: in how many parts a batch passes through the model, a divisor of its photographs.
        """
        self._captioner, self._fed_words = captioner, fed_words
        self._label_smoothing, self._num_parts = label_smoothing, num_parts

    def gradients(
        self,
        batch: Batch,
        variables: list[tf.Variable],
        words: tf.Tensor,
        step: tf.Tensor,
        seed: tf.Tensor,
        with_encoder: bool,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the sum of the losses of the batch's words, float32 [], and the gradients of that sum over `words`.

        Args:
            batch: see `Captioner`.
            variables: by which the loss is differentiated.
            words: float32 [], of all replicas' batches together.
            step: int64 [], updates done.
            seed: int64 [2], of this step and replica.
            with_encoder: whether the encoder is trained in this step.
        """

        def of_part(part: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)  # A frozen encoder leaves no trace.
                part = part | {"features": self._captioner.features(part, training=with_encoder)}
                with tape.stop_recording():
                    part["input_ids"] = self._read_words(part, step, seed)
                loss_sum = tf.reduce_sum(self._captioner.word_losses(part, seed, self._label_smoothing))
                loss = loss_sum / tf.maximum(words, 1.0)
            # Dense: the norm of an embedding's IndexedSlices would count a repeated word as separate rows.
            return loss_sum, [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

        if self._num_parts == 1:
            return of_part(batch, seed)
        parts = {name: self._cut(value) for name, value in batch.items()}

        def add(index: tf.Tensor, loss_sum: tf.Tensor, gradients: list[tf.Tensor]) -> tuple:
            more = of_part({name: value[index] for name, value in parts.items()}, tf.random.fold_in(seed, index))
            return index + 1, loss_sum + more[0], [a + b for a, b in zip(gradients, more[1], strict=True)]

        zeros = [tf.zeros(variable.shape) for variable in variables]
        start = (tf.constant(0), tf.constant(0.0), zeros)
        # One after the other: only one part's activations are in memory.
        _, loss_sum, gradients = tf.while_loop(
            lambda index, *_: index < self._num_parts, add, start, parallel_iterations=1
        )
        return loss_sum, gradients

    def _read_words(self, batch: Batch, step: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self._fed_words is None:
            return batch["input_ids"]
        return self._fed_words(self._captioner, batch["features"], batch["input_ids"], step, seed)

    def _cut(self, rows: tf.Tensor) -> tf.Tensor:
        """[I, ...] -> [num_parts, I / num_parts, ...]: a photograph's captions stay with it."""
        size = rows.shape[0] and rows.shape[0] // self._num_parts
        parts = tf.reshape(rows, tf.concat([[self._num_parts, -1], tf.shape(rows)[1:]], 0))
        return tf.ensure_shape(parts, [self._num_parts, size, *rows.shape[1:]])
