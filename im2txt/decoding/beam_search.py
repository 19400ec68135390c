"""Batched beam search over a step function, in the graph; knows no model and no vocabulary.

Every image keeps K partial and K complete captions. Each step asks `step_fn` once for the next words of all B*K
partials and extends each of them by its K most probable words, `end_id` among them: extensions by `end_id` compete for
the K complete slots, the others for the K partial slots, which all parents of an image share. Finished captions do not
shrink K. A caption of probability p is ranked by ln p, and once complete by ln p / m**length_normalization_factor,
where its length m counts the start and the end word.

Ties have one outcome: of equal words the lower id is taken, of equal partials the child of the better parent, of equal
complete captions the one completed first (within one step, the better parent's).

Diverse beam search splits the K slots among groups. Each group searches by itself, but for one thing: where it chooses
words and partials, a word costs `diversity_strength` nats for each partial of the groups before it that has just been
extended by that word. Log probabilities and scores of captions stay the model's own, and ending costs nothing.

Source: the search of Google's im2txt (github.com/tensorflow/models, before 2019), there in Python for one image at a
time; Vinyals et al., "Show and Tell: Lessons learned from the 2015 MSCOCO Image Captioning Challenge",
arXiv 1609.06647. Groups: Vijayakumar et al., "Diverse Beam Search", arXiv 1610.02424, with Hamming diversity.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from im2txt.decoding import beam_pools, wide_top_k
from im2txt.decoding.beam_pools import Pools
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


class _Search(NamedTuple):
    length: tf.Tensor  # int32 [], words in every partial
    state: State  # nest of [B*K, ...]
    groups: tuple[Pools, ...]  # of K / num_groups slots each


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
    num_groups: int = 1,
    diversity_strength: float = 0.0,
) -> SearchResult:
    """Searches for the most probable captions of a batch of images; `beam_size` 1 is greedy decoding.

    Call it inside a `tf.function`. Words of probability below 1e-12 are not followed. If nothing completes in time, the
    partial captions are returned instead. A partial caption that cannot reach the K complete ones of its image any more
    is dropped, and the search ends when none is left anywhere. This changes no result: completed, one of log_prob p
    scores at most p / max_caption_length**length_normalization_factor. Several groups may find the same caption.

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
        num_groups: of diverse beam search; K is a multiple of it. 1 is plain beam search.
        diversity_strength: nats, at least 0; what a word costs for each partial of earlier groups that takes it.

    Returns:
        The captions found, sorted by descending score.

    Raises:
        ValueError: if an argument is outside its range, or B differs from the rows of the state.
    """
    _check_arguments(beam_size, max_caption_length, length_normalization_factor, num_groups, diversity_strength)
    rules = WordRules(end_id, forbidden_ids, min_caption_length, no_repeat_ngram_size)
    # Scores are products with these: rounding keeps products in order, so the early exit is exact to the last bit.
    lengths = np.maximum(np.arange(max_caption_length + 1), 1)
    length_weights = tf.constant(lengths ** -float(length_normalization_factor), tf.float32)

    def goes_on(search: _Search) -> tf.Tensor:
        return tf.reduce_any([tf.reduce_any(beam_pools.has_hope(group, length_weights)) for group in search.groups])

    def step(search: _Search) -> tuple[_Search]:
        word_ids = tf.concat([group.partials.word_ids for group in search.groups], axis=1)  # [B, K, L]
        word_ids = tf.reshape(word_ids, [-1, max_caption_length])
        log_probs, state = step_fn(word_ids[:, search.length - 1], search.state)
        log_probs = rules.apply(log_probs, word_ids, search.length)
        pool = [batch_size, beam_size // num_groups]
        groups, parents = _extend_groups(search, log_probs, pool, end_id, length_weights, diversity_strength)
        rows = tf.range(batch_size)[:, tf.newaxis] * beam_size + parents
        state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(tf.gather(new, tf.reshape(rows, [-1])), old.shape), state, search.state
        )
        return (_Search(search.length + 1, state, groups),)

    start = _Search(
        length=tf.constant(1),
        state=_repeat_rows(initial_state, batch_size, beam_size),
        groups=tuple(
            beam_pools.start_pools(batch_size, start_id, end_id, beam_size // num_groups, max_caption_length)
            for _ in range(num_groups)
        ),
    )
    (search,) = tf.while_loop(goes_on, step, (start,), maximum_iterations=max_caption_length - 1)
    return beam_pools.to_result(search.groups, search.length, end_id)


def _check_arguments(
    beam_size: int,
    max_caption_length: int,
    length_normalization_factor: float,
    num_groups: int,
    diversity_strength: float,
) -> None:
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
    if num_groups < 1 or beam_size % num_groups:
        raise ValueError(f"num_groups is {num_groups}; beam_size {beam_size} must be a multiple of it.")
    if not diversity_strength >= 0:
        raise ValueError(f"diversity_strength is {diversity_strength}; it must be at least 0.")


def _repeat_rows(initial_state: State, batch_size: int | tf.Tensor, beam_size: int) -> State:
    rows = tf.repeat(tf.range(batch_size), beam_size)

    def repeat(state: tf.Tensor) -> tf.Tensor:
        if isinstance(batch_size, int) and state.shape[0] not in (None, batch_size):
            raise ValueError(
                f"initial_state has a tensor of shape {state.shape} and batch_size is "
                f"{batch_size}; the first dimension must be the batch size."
            )
        return tf.gather(state, rows)

    return tf.nest.map_structure(repeat, initial_state)


def _extend_groups(
    search: _Search,
    log_probs: tf.Tensor,
    pool: list[int | tf.Tensor],
    end_id: int,
    length_weights: tf.Tensor,
    diversity_strength: float,
) -> tuple[tuple[Pools, ...], tf.Tensor]:
    """Returns the groups with partials a word longer, and the slots int32 [B, K] these continue; pool is [B, K/G]."""
    num_groups, vocab_size = len(search.groups), log_probs.shape[-1]
    batch_size, group_size = pool
    groups: list[Pools] = []
    parents: list[tf.Tensor] = []
    for index, group in enumerate(search.groups):
        of_group = log_probs
        if num_groups > 1:
            by_group = tf.reshape(log_probs, [batch_size, num_groups, group_size, vocab_size])
            of_group = tf.reshape(by_group[:, index], [-1, vocab_size])  # [B*K/G, V]
        costs = _costs(groups, search.length, diversity_strength, vocab_size)
        choice = _best_words(of_group, costs, pool)
        extended, of_parents = beam_pools.extend(group, search.length, *choice, end_id, length_weights)
        if num_groups == 1:  # What one group drops, others would no longer pay for.
            extended = beam_pools.drop_hopeless(extended, length_weights)
        groups.append(extended)
        parents.append(of_parents + index * group_size)
    return tuple(groups), tf.concat(parents, axis=1)


def _costs(extended: Sequence[Pools], length: tf.Tensor, strength: float, vocab_size: int) -> tf.Tensor | None:
    """Returns float32 [B, V], what each word costs after these groups took theirs; None if nothing."""
    if not extended or not strength:
        return None
    words = tf.concat([group.partials.word_ids[:, :, length] for group in extended], axis=1)  # [B, slots]
    is_taken = tf.concat([group.partials.log_probs for group in extended], axis=1) > -np.inf
    num_images = tf.shape(words)[0]
    images = tf.broadcast_to(tf.range(num_images)[:, tf.newaxis], tf.shape(words))
    return tf.tensor_scatter_nd_add(
        tf.zeros([num_images, vocab_size]), tf.stack([images, words], axis=2), tf.where(is_taken, strength, 0.0)
    )


def _best_words(
    log_probs: tf.Tensor, costs: tf.Tensor | None, pool: list[int | tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | float]:
    """Returns the log_probs, ids and penalties [B, K, W] of each partial's best words; log_probs [B*K, V]."""
    group_size, vocab_size = pool[1], log_probs.shape[-1]
    num_words = min(group_size, vocab_size)
    if costs is None:
        values, words = wide_top_k.top_k(log_probs, num_words)
        return tf.reshape(values, [*pool, num_words]), tf.reshape(words, [*pool, num_words]), 0.0
    costs = tf.repeat(costs, group_size, axis=0)  # [B*K, V]
    _, words = wide_top_k.top_k(log_probs - costs, num_words)
    values, words, penalties = (
        tf.reshape(of, [*pool, num_words])
        for of in (tf.gather(log_probs, words, batch_dims=1), words, tf.gather(costs, words, batch_dims=1))
    )
    return values, words, penalties
