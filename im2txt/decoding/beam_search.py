"""Batched beam search over a step function, in the graph; knows no model and no vocabulary.

Every image keeps K partial and K complete captions. Each step asks `step_fn` once for the next words of all B*K
partials and extends each of them by its K most probable words, `end_id` among them: extensions by `end_id` compete for
the K complete slots, the others for the K partial slots, which all parents of an image share. Finished captions do not
shrink K. A caption of probability p is ranked by ln p, and once complete by ln p / m**length_normalization_factor,
where its length m counts the start and the end word.

Ties have one outcome: of equal words the lower id is taken, of equal partials the child of the better parent, of equal
complete captions the one completed first (within one step, the better parent's).

Source: the search of Google's im2txt (github.com/tensorflow/models, before 2019), there in Python for one image at a
time; Vinyals et al., "Show and Tell: Lessons learned from the 2015 MSCOCO Image Captioning Challenge",
arXiv 1609.06647.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from im2txt.decoding import wide_top_k
from im2txt.decoding.search_result import SearchResult
from im2txt.decoding.word_rules import WordRules

State = Any
"""Any nest of tensors whose first dimension counts partial captions."""

StepFn = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
"""(last word_ids int32 [B*K], state of [B*K, ...]) -> (log_probs float32 [B*K, V], next state).

The log_probs are normalised (`tf.nn.log_softmax`), so never above 0: the exact early exit rests on that. V is static.
Row b*K + k belongs to image b. The state follows its caption when the beams are reordered; what stays the same from
step to step (image features to attend to) the function holds itself, one row per image.
"""

_MIN_WORD_LOG_PROB = math.log(1e-12)
_NEVER = -math.inf


class _Partials(NamedTuple):
    """Captions without end, best first; padded with `end_id`; log_prob -inf marks an empty slot."""

    word_ids: tf.Tensor  # int32 [B, K, L]
    word_log_probs: tf.Tensor  # float32 [B, K, L]
    log_probs: tf.Tensor  # float32 [B, K]


class _Complete(NamedTuple):
    """Captions with end, best first; padded with `end_id`; score -inf marks an empty slot."""

    word_ids: tf.Tensor  # int32 [B, K, L]
    word_log_probs: tf.Tensor  # float32 [B, K, L]
    lengths: tf.Tensor  # int32 [B, K]
    log_probs: tf.Tensor  # float32 [B, K]
    scores: tf.Tensor  # float32 [B, K]


class _Search(NamedTuple):
    length: tf.Tensor  # int32 [], words in every partial
    state: State  # nest of [B*K, ...]
    partials: _Partials
    complete: _Complete


def beam_search(
    step_fn: StepFn,
    initial_state: State,
    *,
    batch_size: int | tf.Tensor,
    start_id: int,
    end_id: int,
    beam_size: int = 3,
    max_caption_length: int = 20,
    length_normalization_factor: float = 0.0,
    forbidden_ids: Sequence[int] = (),
    min_caption_length: int = 2,
    no_repeat_ngram_size: int = 0,
) -> SearchResult:
    """Searches for the most probable captions of a batch of images; `beam_size` 1 is greedy decoding.

    Call it inside a `tf.function`. Words of probability below 1e-12 are not followed. If nothing completes in time, the
    partial captions are returned instead. A partial caption that cannot reach the K complete ones of its image any more
    is dropped, and the search ends when none is left anywhere. This changes no result: completed, one of log_prob p
    scores at most p / max_caption_length**length_normalization_factor.

    Args:
        step_fn: see `StepFn`.
        initial_state: nest of [B, ...], one row per image: the state to feed `start_id` to.
        batch_size: B.
        start_id: first word of every caption.
        end_id: word that completes a caption.
        beam_size: K, at least 1.
        max_caption_length: L, at least 1, `start_id` and `end_id` counted: at most L - 1 steps.
        length_normalization_factor: at least 0; above 0 favours longer captions.
        forbidden_ids: words that are never chosen, such as the unknown word.
        min_caption_length: least words of a complete caption, `start_id` and `end_id` counted.
        no_repeat_ngram_size: no run of so many words stands twice in a caption; 0 allows all.

    Returns:
        The captions found, sorted by descending score.

    Raises:
        ValueError: if an argument is outside its range, or B differs from the rows of the state.
    """
    _check_arguments(beam_size, max_caption_length, length_normalization_factor)
    rules = WordRules(end_id, forbidden_ids, min_caption_length, no_repeat_ngram_size)
    # Scores are products with these: rounding keeps products in order, so the early exit is exact to the last bit.
    lengths = np.maximum(np.arange(max_caption_length + 1), 1)
    length_weights = tf.constant(lengths ** -float(length_normalization_factor), tf.float32)

    def has_partials(search: _Search) -> tf.Tensor:
        return tf.reduce_any(search.partials.log_probs > _NEVER)

    def step(search: _Search) -> tuple[_Search]:
        last_words = tf.reshape(search.partials.word_ids[:, :, search.length - 1], [-1])
        log_probs, state = step_fn(last_words, search.state)
        log_probs = rules.apply(
            log_probs, tf.reshape(search.partials.word_ids, [-1, max_caption_length]), search.length
        )
        log_probs, words = wide_top_k.top_k(log_probs, min(beam_size, log_probs.shape[-1]))  # [B*K, W]
        per_partial = [batch_size, beam_size, words.shape[1]]
        log_probs, words = tf.reshape(log_probs, per_partial), tf.reshape(words, per_partial)
        partials, parents, complete = _extend(search, log_probs, words, end_id, length_weights)
        rows = tf.reshape(tf.range(batch_size)[:, tf.newaxis] * beam_size + parents, [-1])
        state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(tf.gather(new, rows), old.shape), state, search.state
        )
        return (_Search(search.length + 1, state, partials, complete),)

    start = _start(initial_state, batch_size, start_id, end_id, beam_size, max_caption_length)
    (search,) = tf.while_loop(has_partials, step, (start,), maximum_iterations=max_caption_length - 1)
    return _result(search, end_id)


def _check_arguments(beam_size: int, max_caption_length: int, length_normalization_factor: float) -> None:
    if beam_size < 1:
        raise ValueError(f"beam_size is {beam_size}; it must be at least 1.")
    if max_caption_length < 1:
        raise ValueError(
            f"max_caption_length is {max_caption_length}; it must be at least 1, for it counts the start word."
        )
    if not length_normalization_factor >= 0:  # also refuses NaN
        raise ValueError(f"length_normalization_factor is {length_normalization_factor}; it must be at least 0.")
    if max_caption_length**-length_normalization_factor < np.finfo(np.float32).tiny:
        raise ValueError(
            f"length_normalization_factor is {length_normalization_factor}; scores of "
            f"{max_caption_length} words divided by that power are 0 in float32. Lower it."
        )


def _start(
    initial_state: State,
    batch_size: int | tf.Tensor,
    start_id: int,
    end_id: int,
    beam_size: int,
    max_caption_length: int,
) -> _Search:
    """One partial caption per image, `start_id` alone, in the first of K slots; none complete."""
    rows = tf.repeat(tf.range(batch_size), beam_size)

    def expand(state: tf.Tensor) -> tf.Tensor:
        if isinstance(batch_size, int) and state.shape[0] not in (None, batch_size):
            raise ValueError(
                f"initial_state has a tensor of shape {state.shape} and batch_size is "
                f"{batch_size}; the first dimension must be the batch size."
            )
        return tf.gather(state, rows)

    pool = [batch_size, beam_size]
    start_words = tf.constant([start_id] + [end_id] * (max_caption_length - 1), tf.int32)
    none, no_words = tf.fill(pool, _NEVER), tf.zeros([*pool, max_caption_length])
    return _Search(
        length=tf.constant(1),
        state=tf.nest.map_structure(expand, initial_state),
        partials=_Partials(
            word_ids=tf.broadcast_to(start_words, [*pool, max_caption_length]),
            word_log_probs=no_words,
            log_probs=tf.where(tf.range(beam_size) == 0, 0.0, none),
        ),
        complete=_Complete(
            word_ids=tf.fill([*pool, max_caption_length], end_id),
            word_log_probs=no_words,
            lengths=tf.zeros(pool, tf.int32),
            log_probs=none,
            scores=none,
        ),
    )


def _extend(
    search: _Search,
    log_probs: tf.Tensor,
    words: tf.Tensor,
    end_id: int,
    length_weights: tf.Tensor,
) -> tuple[_Partials, tf.Tensor, _Complete]:
    """Extends every partial caption by one word.

    Args:
        search: the search so far.
        log_probs: float32 [B, K, W], of the words that may follow each partial.
        words: int32 [B, K, W], those words.
        end_id: the word that completes a caption.
        length_weights: float32 [L + 1], score / log_prob of a complete caption by its length.

    Returns:
        The next partials, the slots of their parents int32 [B, K], and the complete captions.
    """
    _, beam_size, num_words = words.shape
    totals = search.partials.log_probs[:, :, tf.newaxis] + log_probs  # [B, K, W]
    totals = tf.where(log_probs >= _MIN_WORD_LOG_PROB, totals, _NEVER)
    is_end = words == end_id
    is_new = tf.range(search.partials.word_ids.shape[2]) == search.length  # [L]

    ended = tf.reduce_max(tf.where(is_end, totals, _NEVER), axis=2)  # [B, K]
    end_log_probs = tf.reduce_max(tf.where(is_end, log_probs, _NEVER), axis=2)
    new_complete = _Complete(
        word_ids=search.partials.word_ids,  # the padding already is end_id
        word_log_probs=tf.where(is_new, end_log_probs[:, :, tf.newaxis], search.partials.word_log_probs),
        lengths=tf.fill(tf.shape(ended), search.length + 1),
        log_probs=ended,
        scores=ended * length_weights[search.length + 1],
    )
    both = tf.nest.map_structure(lambda *pools: tf.concat(pools, axis=1), search.complete, new_complete)
    _, kept = tf.math.top_k(both.scores, k=beam_size)
    complete = tf.nest.map_structure(lambda pool: tf.gather(pool, kept, batch_dims=1), both)

    flat_totals = tf.reshape(tf.where(is_end, _NEVER, totals), [-1, beam_size * num_words])
    best, kept = tf.math.top_k(flat_totals, k=beam_size)  # [B, K]
    parents = kept // num_words

    def extend(histories: tf.Tensor, chosen_from: tf.Tensor) -> tf.Tensor:  # [B, K, L], [B, K, W] -> [B, K, L]
        added = tf.gather(tf.reshape(chosen_from, [-1, beam_size * num_words]), kept, batch_dims=1)
        return tf.where(is_new, added[:, :, tf.newaxis], tf.gather(histories, parents, batch_dims=1))

    word_ids = extend(search.partials.word_ids, words)
    word_log_probs = extend(search.partials.word_log_probs, log_probs)
    # Dropping those without hope lets in only worse ones, which have none either.
    has_hope = best * length_weights[-1] > complete.scores[:, -1:]
    return _Partials(word_ids, word_log_probs, tf.where(has_hope, best, _NEVER)), parents, complete


def _result(search: _Search, end_id: int) -> SearchResult:
    """The complete captions of an image, or where there are none its partial ones."""
    partials, complete = search.partials, search.complete
    completed = complete.scores[:, :1] > _NEVER  # [B, 1]
    scores = tf.where(completed, complete.scores, partials.log_probs)
    log_probs = tf.where(completed, complete.log_probs, partials.log_probs)
    found = scores > _NEVER  # [B, K]
    lengths = tf.where(completed, complete.lengths, search.length)
    word_ids = tf.where(completed[:, :, tf.newaxis], complete.word_ids, partials.word_ids)
    word_log_probs = tf.where(completed[:, :, tf.newaxis], complete.word_log_probs, partials.word_log_probs)
    return SearchResult(
        word_ids=tf.where(found[:, :, tf.newaxis], word_ids, end_id),
        lengths=tf.where(found, lengths, 0),
        scores=scores,
        log_probs=log_probs,
        word_log_probs=tf.where(found[:, :, tf.newaxis], word_log_probs, 0.0),
        is_complete=completed & found,
        counts=tf.reduce_sum(tf.cast(found, tf.int32), axis=1),
    )
