"""What a caption may not say: forbidden words, an end that comes too early, a phrase said twice."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_NEVER = -math.inf


@dataclasses.dataclass(frozen=True)
class WordRules:
    """Rules that hold for every partial caption of a search.

    Attributes:
        end_id: word that completes a caption.
        forbidden_ids: words that are never chosen, such as the unknown word.
        min_caption_length: least words of a complete caption, the start and the end word counted.
        no_repeat_ngram_size: no run of so many words stands twice in a caption, at least 1; 0 allows all.
    """

    end_id: int
    forbidden_ids: Sequence[int] = ()
    min_caption_length: int = 2
    no_repeat_ngram_size: int = 0

    def __post_init__(self) -> None:
        if self.end_id in self.forbidden_ids:
            raise ValueError(f"forbidden_ids holds the end word's id {self.end_id}; no caption could be completed.")
        if self.no_repeat_ngram_size < 0:
            raise ValueError(f"no_repeat_ngram_size is {self.no_repeat_ngram_size}; it must be at least 0.")

    def apply(self, log_probs: tf.Tensor, word_ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Sets the log probability of what may not follow to -inf.

        Args:
            log_probs: float32 [R, V], of the next word; V is static.
            word_ids: int32 [R, L], the partial captions, anything behind their length.
            length: int32 [], words in every partial caption.

        Raises:
            ValueError: if V is not static, or one of the rules' words not in 0 to V - 1.
        """
        vocab_size = log_probs.shape[-1]
        if vocab_size is None:
            raise ValueError(
                f"step_fn returned log_probs of shape {log_probs.shape}; the last dimension must be static. Set its "
                "shape."
            )
        if not all(0 <= word_id < vocab_size for word_id in (self.end_id, *self.forbidden_ids)):
            raise ValueError(
                f"step_fn returned log_probs of {vocab_size} words; end_id {self.end_id} and forbidden_ids "
                f"{tuple(self.forbidden_ids)} must be in 0 to {vocab_size - 1}."
            )
        if self.forbidden_ids:
            penalty = np.zeros(vocab_size, np.float32)
            penalty[list(self.forbidden_ids)] = _NEVER
            log_probs += penalty
        if self.min_caption_length > 2:
            is_early = (tf.range(vocab_size) == self.end_id) & (length + 1 < self.min_caption_length)
            log_probs = tf.where(is_early, _NEVER, log_probs)
        if 0 < self.no_repeat_ngram_size <= word_ids.shape[1]:
            log_probs = _without_repetitions(log_probs, word_ids, length, self.no_repeat_ngram_size)
        return log_probs


def _without_repetitions(log_probs: tf.Tensor, word_ids: tf.Tensor, length: tf.Tensor, size: int) -> tf.Tensor:
    """Bans the last word of every n-gram of the caption whose first n - 1 words are the caption's last n - 1."""
    num_places = word_ids.shape[1] - size + 1
    ngrams = tf.stack([word_ids[:, i : i + num_places] for i in range(size)], axis=2)  # [R, places, n]
    start = tf.maximum(length - (size - 1), 0)
    last = word_ids[:, start : start + size - 1][:, tf.newaxis]  # [R, 1, n - 1]
    is_same = tf.reduce_all(ngrams[:, :, :-1] == last, axis=2)
    is_whole = tf.range(num_places) + size <= length
    is_banned = is_same & is_whole & (length >= size)  # [R, places]
    rows = tf.broadcast_to(tf.range(tf.shape(word_ids)[0])[:, tf.newaxis], tf.shape(is_banned))
    indices = tf.stack([rows, ngrams[:, :, -1]], axis=2)
    return tf.tensor_scatter_nd_min(log_probs, indices, tf.where(is_banned, _NEVER, math.inf))
