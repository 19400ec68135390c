"""Captions drawn at random from a step function, in the graph; knows no model and no vocabulary.

Which captions an image gets depends on its key and the seed alone, not on the batch it stands in: the random numbers
are drawn from (seed, key) before the first step, one for every word of every sample.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from im2txt.decoding import wide_top_k
from im2txt.decoding.beam_search import State, StepFn
from im2txt.decoding.search_result import SearchResult
from im2txt.decoding.word_rules import WordRules


class _Samples(NamedTuple):
    length: tf.Tensor  # int32 [], words in every unfinished caption
    state: State  # nest of [B*K, ...]
    word_ids: tf.Tensor  # int32 [B*K, L], padded with end_id
    word_log_probs: tf.Tensor  # float32 [B*K, L]
    lengths: tf.Tensor  # int32 [B*K]
    status: tf.Tensor  # int32 [B*K]: 0 goes on, 1 complete, 2 nothing may follow


def sample_captions(
    step_fn: StepFn,
    initial_state: State,
    rules: WordRules,
    *,
    keys: tf.Tensor,
    seed: int,
    start_id: int,
    num_samples: int = 3,
    max_caption_length: int = 20,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> SearchResult:
    """Draws captions word by word; call it inside a `tf.function`.

    A word is drawn with a probability in proportion to p**(1/temperature) among the `top_k` most probable words, and of
    these among the fewest that together hold `top_p` of it. An image's samples may be equal. A caption to which no word
    may be added ends there and counts as cut off.

    Args:
        step_fn: see `beam_search.StepFn`.
        initial_state: nest of [B, ...], one row per image: the state to feed `start_id` to.
        rules: what may not be said.
        keys: int64 [B], what tells images apart, such as their ids.
        seed: another seed draws other captions.
        start_id: first word of every caption.
        num_samples: K, captions per image, at least 1.
        max_caption_length: L, at least 1, start and end word counted: at most L - 1 steps.
        temperature: above 0; below 1 favours probable words, above 1 improbable ones.
        top_k: words that may be drawn, at least 1; 0 allows all.
        top_p: in (0, 1].

    Returns:
        K captions per image, sorted by descending log_prob, which is the step function's own and not the one tempered;
        `scores` equal `log_probs`, `counts` are K. Unlike a search's, an image's captions may be complete and cut off
        side by side.

    Raises:
        ValueError: if an argument is outside its range.

    Source: top-k after Fan et al., arXiv 1805.04833; top-p after Holtzman et al., arXiv 1904.09751.
    """
    _check_arguments(num_samples, max_caption_length, temperature, top_k, top_p)
    batch_size = tf.shape(keys)[0]
    rows = tf.repeat(tf.range(batch_size), num_samples)
    randoms = _random_numbers(keys, seed, num_samples, max_caption_length)  # [B*K, L]

    def step(samples: _Samples) -> tuple[_Samples]:
        log_probs, state = step_fn(samples.word_ids[:, samples.length - 1], samples.state)
        allowed = rules.apply(log_probs, samples.word_ids, samples.length)
        drawn = _draw(allowed / temperature, randoms[:, samples.length], top_k, top_p)
        goes_on = samples.status == 0
        is_possible = tf.gather(allowed, drawn, batch_dims=1) > -math.inf
        is_said = goes_on & is_possible
        place = (tf.range(max_caption_length) == samples.length) & is_said[:, tf.newaxis]  # [B*K, L]
        said = tf.gather(log_probs, drawn, batch_dims=1)
        status = tf.where(is_said & (drawn == rules.end_id), 1, tf.where(goes_on & ~is_possible, 2, samples.status))
        return (
            _Samples(
                length=samples.length + 1,
                state=tf.nest.map_structure(lambda new, old: tf.ensure_shape(new, old.shape), state, samples.state),
                word_ids=tf.where(place, drawn[:, tf.newaxis], samples.word_ids),
                word_log_probs=tf.where(place, said[:, tf.newaxis], samples.word_log_probs),
                lengths=samples.lengths + tf.cast(is_said, tf.int32),
                status=status,
            ),
        )

    start = _start(initial_state, rows, start_id, rules.end_id, max_caption_length)
    (samples,) = tf.while_loop(
        lambda samples: tf.reduce_any(samples.status == 0), step, (start,), maximum_iterations=max_caption_length - 1
    )
    return _sorted(samples, num_samples)


def _check_arguments(num_samples: int, max_caption_length: int, temperature: float, top_k: int, top_p: float) -> None:
    for name, value, fits, rule in (
        ("num_samples", num_samples, num_samples >= 1, "at least 1"),
        ("max_caption_length", max_caption_length, max_caption_length >= 1, "at least 1"),
        ("temperature", temperature, temperature > 0, "above 0"),
        ("top_k", top_k, top_k >= 0, "at least 0"),
        ("top_p", top_p, 0 < top_p <= 1, "in (0, 1]"),
    ):
        if not fits:
            raise ValueError(f"{name} is {value}; it must be {rule}.")


def _start(initial_state: State, rows: tf.Tensor, start_id: int, end_id: int, max_caption_length: int) -> _Samples:
    """Captions of nothing but the start word, one for each of `rows`, which name the image of each."""
    num_rows = tf.shape(rows)[0]
    start_words = tf.constant([[start_id] + [end_id] * (max_caption_length - 1)], tf.int32)
    return _Samples(
        length=tf.constant(1),
        state=tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), initial_state),
        word_ids=tf.tile(start_words, [num_rows, 1]),
        word_log_probs=tf.zeros([num_rows, max_caption_length]),
        lengths=tf.ones([num_rows], tf.int32),
        status=tf.zeros([num_rows], tf.int32),
    )


def _random_numbers(keys: tf.Tensor, seed: int, num_samples: int, length: int) -> tf.Tensor:
    """float32 [B*K, L] in [0, 1), row by row a function of the seed and the image's key."""

    def of_image(key: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([num_samples, length], [tf.constant(seed, tf.int64), key])

    spec = tf.TensorSpec([num_samples, length], tf.float32)
    return tf.reshape(tf.map_fn(of_image, tf.cast(keys, tf.int64), fn_output_signature=spec), [-1, length])


def _draw(logits: tf.Tensor, randoms: tf.Tensor, top_k: int, top_p: float) -> tf.Tensor:
    """Draws a word int32 [R] from each row of logits [R, V], by the inverse of the cumulative distribution."""
    vocab_size = logits.shape[-1]
    if top_k or top_p < 1:
        logits, words = wide_top_k.top_k(logits, min(top_k or vocab_size, vocab_size))
    else:
        words = tf.broadcast_to(tf.range(vocab_size), tf.shape(logits))
    probs = tf.nn.softmax(logits)
    if top_p < 1:
        before = tf.cumsum(probs, axis=1, exclusive=True)
        probs = tf.where(before < top_p, probs, 0.0)
    cumulative = tf.cumsum(probs, axis=1)
    chosen = tf.searchsorted(cumulative, randoms[:, tf.newaxis] * cumulative[:, -1:], side="right")[:, 0]
    # Rounding may point behind the last word that has any probability.
    last = tf.reduce_max(tf.where(probs > 0, tf.range(tf.shape(probs)[1]), 0), axis=1)
    return tf.gather(words, tf.minimum(chosen, last), batch_dims=1)


def _sorted(samples: _Samples, num_samples: int) -> SearchResult:
    log_probs = tf.reshape(tf.reduce_sum(samples.word_log_probs, axis=1), [-1, num_samples])
    order = tf.argsort(log_probs, direction="DESCENDING", stable=True)

    def arrange(values: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(values, [-1, num_samples, *values.shape[1:]]), order, batch_dims=1)

    log_probs = tf.gather(log_probs, order, batch_dims=1)
    return SearchResult(
        word_ids=arrange(samples.word_ids),
        lengths=arrange(samples.lengths),
        scores=log_probs,
        log_probs=log_probs,
        word_log_probs=arrange(samples.word_log_probs),
        is_complete=arrange(samples.status) == 1,
        counts=tf.fill([tf.shape(log_probs)[0]], num_samples),
    )
