"""The captions that a beam search keeps of each image: partial ones to be extended, complete ones to be returned."""

import math
from typing import NamedTuple

import tensorflow as tf

from im2txt.decoding.search_result import SearchResult

_MIN_WORD_LOG_PROB = math.log(1e-12)
_NEVER = -math.inf


class Partials(NamedTuple):
    """Captions without end, best first; padded with `end_id`; log_prob -inf marks an empty slot."""

    word_ids: tf.Tensor  # int32 [B, K, L]
    word_log_probs: tf.Tensor  # float32 [B, K, L]
    log_probs: tf.Tensor  # float32 [B, K]


class Complete(NamedTuple):
    """Captions with end, best first; padded with `end_id`; score -inf marks an empty slot."""

    word_ids: tf.Tensor  # int32 [B, K, L]
    word_log_probs: tf.Tensor  # float32 [B, K, L]
    lengths: tf.Tensor  # int32 [B, K]
    log_probs: tf.Tensor  # float32 [B, K]
    scores: tf.Tensor  # float32 [B, K]


class Pools(NamedTuple):
    """The captions of a batch of images."""

    partials: Partials
    complete: Complete


def start_pools(batch_size: int | tf.Tensor, start_id: int, end_id: int, beam_size: int, max_length: int) -> Pools:
    """Returns one partial caption per image, `start_id` alone, in the first of K slots; none complete."""
    pool = [batch_size, beam_size]
    start_words = tf.constant([start_id] + [end_id] * (max_length - 1), tf.int32)
    none, no_words = tf.fill(pool, _NEVER), tf.zeros([*pool, max_length])
    return Pools(
        Partials(
            word_ids=tf.broadcast_to(start_words, [*pool, max_length]),
            word_log_probs=no_words,
            log_probs=tf.where(tf.range(beam_size) == 0, 0.0, none),
        ),
        Complete(
            word_ids=tf.fill([*pool, max_length], end_id),
            word_log_probs=no_words,
            lengths=tf.zeros(pool, tf.int32),
            log_probs=none,
            scores=none,
        ),
    )


def extend(
    pools: Pools,
    length: tf.Tensor,
    log_probs: tf.Tensor,
    words: tf.Tensor,
    penalties: tf.Tensor | float,
    end_id: int,
    length_weights: tf.Tensor,
) -> tuple[Pools, tf.Tensor]:
    """Extends every partial caption by one word.

    Args:
        pools: the captions so far.
        length: int32 [], words in every partial.
        log_probs: float32 [B, K, W], of the words that may follow each partial.
        words: int32 [B, K, W], those words.
        penalties: float32 [B, K, W], taken from a partial's log probability where the next ones are chosen, and there
            only; or 0.
        end_id: the word that completes a caption.
        length_weights: float32 [L + 1], score / log_prob of a complete caption by its length.

    Returns:
        The next captions, and the slots of the partials' parents int32 [B, K].
    """
    partials, complete = pools
    _, beam_size, num_words = words.shape
    totals = partials.log_probs[:, :, tf.newaxis] + log_probs  # [B, K, W]
    totals = tf.where(log_probs >= _MIN_WORD_LOG_PROB, totals, _NEVER)
    is_end = words == end_id
    is_new = tf.range(partials.word_ids.shape[2]) == length  # [L]

    ended = tf.reduce_max(tf.where(is_end, totals, _NEVER), axis=2)  # [B, K]
    end_log_probs = tf.reduce_max(tf.where(is_end, log_probs, _NEVER), axis=2)
    new_complete = Complete(
        word_ids=partials.word_ids,  # the padding already is end_id
        word_log_probs=tf.where(is_new, end_log_probs[:, :, tf.newaxis], partials.word_log_probs),
        lengths=tf.fill(tf.shape(ended), length + 1),
        log_probs=ended,
        scores=ended * length_weights[length + 1],
    )
    both = tf.nest.map_structure(lambda *pools: tf.concat(pools, axis=1), complete, new_complete)
    _, kept = tf.math.top_k(both.scores, k=beam_size)
    complete = tf.nest.map_structure(lambda pool: tf.gather(pool, kept, batch_dims=1), both)

    def flat(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [-1, beam_size * num_words])

    totals = flat(tf.where(is_end, _NEVER, totals))
    _, kept = tf.math.top_k(totals - (flat(penalties) if isinstance(penalties, tf.Tensor) else penalties), k=beam_size)
    parents = kept // num_words  # [B, K]

    def with_new(histories: tf.Tensor, chosen_from: tf.Tensor) -> tf.Tensor:  # [B, K, L], [B, K, W] -> [B, K, L]
        added = tf.gather(flat(chosen_from), kept, batch_dims=1)
        return tf.where(is_new, added[:, :, tf.newaxis], tf.gather(histories, parents, batch_dims=1))

    partials = Partials(
        with_new(partials.word_ids, words),
        with_new(partials.word_log_probs, log_probs),
        tf.gather(totals, kept, batch_dims=1),
    )
    return Pools(partials, complete), parents


def has_hope(pools: Pools, length_weights: tf.Tensor) -> tf.Tensor:
    """Returns bool [B, K]: whether a partial caption can still displace a complete one; exact to the last bit."""
    return pools.partials.log_probs * length_weights[-1] > pools.complete.scores[:, -1:]


def drop_hopeless(pools: Pools, length_weights: tf.Tensor) -> Pools:
    """Empties the slots of partial captions without hope; that lets in only worse ones, which have none either."""
    log_probs = tf.where(has_hope(pools, length_weights), pools.partials.log_probs, _NEVER)
    return Pools(pools.partials._replace(log_probs=log_probs), pools.complete)


def to_result(groups: tuple[Pools, ...], length: tf.Tensor, end_id: int) -> SearchResult:
    """Returns the complete captions of each image, or where it has none its partial ones.

    Args:
        groups: what was found; several are merged, best captions first.
        length: int32 [], words in every partial.
        end_id: what captions are padded with.
    """
    partials, complete = tf.nest.map_structure(lambda *pools: tf.concat(pools, axis=1), *groups)
    completed = tf.reduce_any(complete.scores > _NEVER, axis=1, keepdims=True)  # [B, 1]
    scores = tf.where(completed, complete.scores, partials.log_probs)
    log_probs = tf.where(completed, complete.log_probs, partials.log_probs)
    lengths = tf.where(completed, complete.lengths, length)
    word_ids = tf.where(completed[:, :, tf.newaxis], complete.word_ids, partials.word_ids)
    word_log_probs = tf.where(completed[:, :, tf.newaxis], complete.word_log_probs, partials.word_log_probs)
    if len(groups) > 1:
        scores, order = tf.math.top_k(scores, k=scores.shape[1])
        log_probs, lengths, word_ids, word_log_probs = (
            tf.gather(values, order, batch_dims=1) for values in (log_probs, lengths, word_ids, word_log_probs)
        )
    found = scores > _NEVER  # [B, K]
    return SearchResult(
        word_ids=tf.where(found[:, :, tf.newaxis], word_ids, end_id),
        lengths=tf.where(found, lengths, 0),
        scores=scores,
        log_probs=log_probs,
        word_log_probs=tf.where(found[:, :, tf.newaxis], word_log_probs, 0.0),
        is_complete=completed & found,
        counts=tf.reduce_sum(tf.cast(found, tf.int32), axis=1),
    )
