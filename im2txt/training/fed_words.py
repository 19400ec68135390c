"""The words that the decoder reads in training: the caption's own, `<UNK>` in their place, or its own predictions.

Both happen to what is read, never to what is to be predicted, and know no decoder but by its step function.
"""

from __future__ import annotations

import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.model.captioner import Captioner

# Keep these draws apart from each other and from the decoder's dropout, which are made with the same seed.
_COIN_STREAM, _WORD_STREAM, _DROP_STREAM = 101, 102, 103


class FedWords:
    """Turns the words of captions into those that the decoder is fed with."""

    def __init__(self, config: OptimizationConfig, unknown_id: int, sampling_from_step: int, total_steps: int):
        """Keeps rates and ids.

        Args:
            config: the rates.
            unknown_id: of `<UNK>`.
            sampling_from_step: updates before the first with a word of the decoder's own.
            total_steps: updates of the whole run.
        """
        self._config, self._unknown_id = config, unknown_id
        self._from_step, self._total_steps = sampling_from_step, total_steps

    def sampling_rate(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the share of words drawn from the decoder itself after `step` updates (int64 []): float32 []."""
        length = max(1, self._total_steps - self._from_step)
        risen = tf.cast(step - self._from_step, tf.float32) / length
        return self._config.scheduled_sampling_rate * tf.clip_by_value(risen, 0.0, 1.0)

    def __call__(
        self, captioner: Captioner, features: tf.Tensor, input_ids: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns int32 [B, T], what is read in place of `input_ids`.

        Args:
            captioner: whose predictions are drawn from.
            features: float32 [I, F] or [I, P, C], of the photographs; B is a multiple of I, as in `Captioner`.
            input_ids: int32 [B, T].
            step: int64 [], updates done.
            seed: int64 [2], of this step and replica.
        """
        if self._config.scheduled_sampling_rate:
            rate = self.sampling_rate(step)
            input_ids = tf.cond(
                rate > 0, lambda: sample_words(captioner, features, input_ids, rate, seed), lambda: input_ids
            )
        return drop_words(input_ids, self._unknown_id, self._config.word_dropout_rate, seed)


def drop_words(input_ids: tf.Tensor, unknown_id: int, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Replaces whole words by `<UNK>`: each but the first with probability `rate`.

    The decoder then cannot lean on the words alone, and learns what to do where it has no word. `<UNK>` and no zero
    vector, because a caption may hold it when the model is used.

    Args:
        input_ids: int32 [B, T], the first being `<S>`.
        unknown_id: of `<UNK>`.
        rate: in [0, 1).
        seed: int64 [2].

    Source: Bowman et al., Generating Sentences from a Continuous Space, arXiv 1511.06349, section 3.
    """
    if rate == 0:
        return input_ids
    dropped = tf.random.stateless_uniform(tf.shape(input_ids), tf.random.fold_in(seed, _DROP_STREAM)) < rate
    dropped &= tf.range(tf.shape(input_ids)[1]) > 0
    return tf.where(dropped, tf.constant(unknown_id, input_ids.dtype), input_ids)


def sample_words(
    captioner: Captioner, features: tf.Tensor, input_ids: tf.Tensor, rate: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Replaces words by draws from the captioner's own prediction at their place: each but the first with odds `rate`.

    One coin per word. A word that was drawn is read before the next one is predicted, as in captioning, where nothing
    is dropped either. No gradient passes through the draws, so that the words can be drawn first, step by step, and the
    loss then be taken as fast as without.

    Args:
        captioner: the model.
        features: float32 [I, F] or [I, P, C], of the photographs.
        input_ids: int32 [B, T], the first being `<S>`.
        rate: float32 [], in [0, 1].
        seed: int64 [2].

    Source: Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, arXiv 1506.03099.
    """
    length = tf.shape(input_ids)[1]
    coins = tf.random.stateless_uniform(tf.shape(input_ids), tf.random.fold_in(seed, _COIN_STREAM)) < rate
    state, step = captioner.start({"features": features}, length - 1)
    captions_per_image = tf.shape(input_ids)[0] // tf.shape(features)[0]
    state = tf.nest.map_structure(lambda rows: tf.repeat(rows, captions_per_image, axis=0), state)
    word_seed = tf.random.fold_in(seed, _WORD_STREAM)
    words = tf.TensorArray(input_ids.dtype, length, element_shape=[input_ids.shape[0]]).write(0, input_ids[:, 0])

    def body(t: tf.Tensor, word_ids: tf.Tensor, state: object, words: tf.TensorArray) -> tuple:
        log_probs, state = step(word_ids, state)
        drawn = tf.random.stateless_categorical(log_probs, 1, tf.random.fold_in(word_seed, t), input_ids.dtype)[:, 0]
        word_ids = tf.where(coins[:, t], drawn, input_ids[:, t])
        return t + 1, word_ids, state, words.write(t, word_ids)

    *_, words = tf.while_loop(lambda t, *_: t < length, body, (1, input_ids[:, 0], state, words))
    return tf.ensure_shape(tf.transpose(words.stack()), input_ids.shape)
