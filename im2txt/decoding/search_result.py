"""What a search over captions finds."""

from typing import NamedTuple

import tensorflow as tf


class SearchResult(NamedTuple):
    """The captions of each image, best first; slots from `counts` on are empty.

    Attributes:
        word_ids: int32 [B, K, L], `start_id` first; complete captions hold `end_id` at `lengths - 1`, and all slots are
            padded with `end_id`.
        lengths: int32 [B, K], `start_id` and (if complete) `end_id` counted; 0 in empty slots.
        scores: float32 [B, K], what captions are ranked by, length-normalised if complete; -inf in empty slots.
        log_probs: float32 [B, K], unnormalised, in nats; -inf in empty slots.
        word_log_probs: float32 [B, K, L], of each word as `step_fn` gave it, in nats; they sum to `log_probs`. 0 for
            `start_id` and for padding.
        is_complete: bool [B, K]; a search gives an image either complete or cut-off captions, never both. The last word
            of a cut-off caption is a real word, not `end_id`.
        counts: int32 [B], captions found, 0 to K.
    """

    word_ids: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    log_probs: tf.Tensor
    word_log_probs: tf.Tensor
    is_complete: tf.Tensor
    counts: tf.Tensor
