import functools
import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding import beam_search
from im2txt.decoding.search_result import SearchResult

Caption = tuple[tuple[int, ...], float, float, bool]  # word_ids, log_prob, score, is_complete
NextProbs = Callable[[Sequence[int]], np.ndarray]

TOY = {
    0: {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4},
    2: {5: 0.1, 6: 0.9},
    3: {1: 0.1, 7: 0.4, 8: 0.5},
    4: {1: 0.3, 9: 0.3, 10: 0.4},
    9: {1: 0.5, 11: 0.5},
} | {word: {1: 1.0} for word in (5, 6, 7, 8, 10, 11)}


def table_of(next_words: dict[int, dict[int, float]], vocab_size: int) -> np.ndarray:
    """The chances of the next word [1, V, V], given the last, the same at every step."""
    table = np.zeros([1, vocab_size, vocab_size])
    for word, probs in next_words.items():
        table[0, word, list(probs)] = list(probs.values())
    return table


def random_tables(seed: int, batch_size: int, vocab_size: int = 9, end_id: int = 1) -> np.ndarray:
    """Tables [B, T, V, V] from peaked (zeros among the words) to flat, from never to soon ending.

    They differ from step to step: otherwise sentences that order the same pairs differently would tie.
    """
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(batch_size):
        table = rng.dirichlet([10 ** rng.uniform(-1.5, 0.5)] * vocab_size, [19, vocab_size]) + 1e-30
        table[:, :, end_id] *= 10 ** rng.uniform(-3, 1) * (rng.uniform() > 0.1)
        tables.append(table / table.sum(axis=2, keepdims=True))
    return np.stack(tables)


def lookup(table: np.ndarray) -> NextProbs:
    return lambda ids: table[min(len(ids), len(table)) - 1, ids[-1]]


def log(table: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(table).astype(np.float32)


def captions_of(result: SearchResult) -> list[list[Caption]]:
    """The filled slots; checks on the way that the empty ones and the padding are as documented."""
    ids, lengths, scores, log_probs, word_log_probs, is_complete, counts = (value.numpy() for value in result)
    assert ids.dtype == lengths.dtype == counts.dtype == np.int32
    captions: list[list[Caption]] = []
    for image, count in enumerate(counts):
        assert np.all(lengths[image, count:] == 0)
        assert np.all(scores[image, count:] == -math.inf)
        assert np.all(log_probs[image, count:] == -math.inf)
        assert not np.any(is_complete[image, count:])
        assert not np.any(word_log_probs[image, count:])
        captions.append([])
        for slot in range(count):
            length = lengths[image, slot]
            captions[-1].append(
                (
                    tuple(ids[image, slot, :length].tolist()),
                    float(log_probs[image, slot]),
                    float(scores[image, slot]),
                    bool(is_complete[image, slot]),
                )
            )
    positions = np.arange(ids.shape[2])
    padding = positions >= lengths[:, :, np.newaxis]
    assert len(set(ids[padding].tolist())) <= 1
    assert not np.any(word_log_probs[padding])
    assert not np.any(word_log_probs[:, :, 0])
    np.testing.assert_allclose(word_log_probs.sum(axis=2)[lengths > 0], log_probs[lengths > 0], rtol=1e-5, atol=1e-6)
    return captions


def search_tables(
    tables: np.ndarray, end_id: int = 1, jit_compile: bool = False, **options: Any
) -> list[list[Caption]]:
    """Searches one table [T, V, V] per image (its last step for all later ones), in a graph of unknown batch size."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, *tables.shape[1:]], tf.float32)],
        jit_compile=jit_compile,
    )
    def search(log_tables: tf.Tensor) -> SearchResult:
        batch_size = tf.shape(log_tables)[0]

        def step(word_ids: tf.Tensor, state: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, Any]:
            images, steps = state
            at = tf.stack([images, tf.minimum(steps, tables.shape[1] - 1), word_ids], axis=1)
            return tf.gather_nd(log_tables, at), (images, steps + 1)

        return beam_search.beam_search(
            step,
            (tf.range(batch_size), tf.zeros([batch_size], tf.int32)),
            batch_size=batch_size,
            start_id=0,
            end_id=end_id,
            **options,
        )

    return captions_of(search(log(tables)))


def reference_search(
    next_probs: NextProbs,
    *,
    end_id: int = 1,
    beam_size: int = 3,
    max_caption_length: int = 20,
    length_normalization_factor: float = 0.0,
    forbidden_ids: Sequence[int] = (),
) -> list[Caption]:
    """The search of one image with heaps, in float64, always run to the last step."""

    def push(heap: list[Any], item: Any) -> None:
        if len(heap) < beam_size:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)

    partials: list[Any] = [(0.0, (0,))]
    complete: list[Any] = []
    for _ in range(max_caption_length - 1):
        parents, partials = partials, []
        for log_prob, sentence in parents:
            probs = next_probs(sentence).copy()
            probs[list(forbidden_ids)] = 0
            for word in np.argsort(-probs, kind="stable")[:beam_size]:
                if probs[word] < 1e-12:
                    continue
                new, new_log_prob = (*sentence, int(word)), log_prob + math.log(probs[word])
                if word == end_id:
                    score = new_log_prob / len(new) ** length_normalization_factor
                    push(complete, (score, new_log_prob, new))
                else:
                    push(partials, (new_log_prob, new))
        if not partials:
            break
    if complete:
        return [(ids, p, score, True) for score, p, ids in sorted(complete, reverse=True)]
    return [(ids, p, p, False) for p, ids in sorted(partials, reverse=True)]


def assert_same_captions(found: list[Caption], expected: list[Caption]) -> None:
    assert [caption[0] for caption in found] == [caption[0] for caption in expected]
    assert [caption[3] for caption in found] == [caption[3] for caption in expected]
    np.testing.assert_allclose(
        [caption[1:3] for caption in found], [caption[1:3] for caption in expected], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"beam_size": 1}, {(0, 4, 10, 1): 0.16}),
        ({"beam_size": 2}, {(0, 4, 10, 1): 0.16, (0, 3, 8, 1): 0.15}),
        ({"beam_size": 3}, {(0, 2, 6, 1): 0.18, (0, 4, 10, 1): 0.16, (0, 3, 8, 1): 0.15}),
        ({"max_caption_length": 1}, {(0,): 1.0}),
        ({"max_caption_length": 2}, {(0, 4): 0.4, (0, 3): 0.3, (0, 2): 0.2}),
        ({"max_caption_length": 3}, {(0, 4, 1): 0.12, (0, 3, 1): 0.03}),
        ({"max_caption_length": 4}, {(0, 2, 6, 1): 0.18, (0, 4, 10, 1): 0.16, (0, 3, 8, 1): 0.15}),
        (
            {"beam_size": 4, "length_normalization_factor": 3.0},
            {(0, 4, 9, 11, 1): 0.06, (0, 2, 6, 1): 0.18, (0, 4, 10, 1): 0.16, (0, 3, 8, 1): 0.15},
        ),
    ],
)
def test_planted_table_gives_the_captions_worked_out_by_hand(
    options: dict[str, Any], expected: dict[tuple[int, ...], float]
) -> None:
    (captions,) = search_tables(table_of(TOY, 12)[np.newaxis], **options)
    assert [caption[0] for caption in captions] == list(expected)
    np.testing.assert_allclose(np.exp([caption[1] for caption in captions]), list(expected.values()), rtol=1e-5)
    assert all(is_complete == (ids[-1] == 1) for ids, _, _, is_complete in captions)


@pytest.mark.parametrize("factor", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("forbidden_ids", [(), (2,)])
def test_a_beam_as_wide_as_the_tree_finds_all_captions_in_order(factor: float, forbidden_ids: tuple[int, ...]) -> None:
    vocab_size, max_length = 4, 5
    tables = np.random.default_rng(0).dirichlet([1.0] * vocab_size, [8, max_length - 1, vocab_size])
    found = search_tables(
        tables,
        beam_size=3 ** (max_length - 1),
        max_caption_length=max_length,
        length_normalization_factor=factor,
        forbidden_ids=forbidden_ids,
    )
    allowed = [word for word in (0, 2, 3) if word not in forbidden_ids]
    for table, captions in zip(tables, found, strict=True):
        expected = []
        for num_words in range(max_length - 1):
            for words in itertools.product(allowed, repeat=num_words):
                ids = (0, *words, 1)
                log_prob = sum(math.log(table[t, ids[t], ids[t + 1]]) for t in range(len(ids) - 1))
                expected.append((ids, log_prob, log_prob / len(ids) ** factor, True))
        assert_same_captions(captions, sorted(expected, key=lambda caption: -caption[2]))


@pytest.mark.parametrize(
    ("beam_size", "max_caption_length", "factor"),
    [(1, 20, 0.0), (2, 7, 0.5), (3, 20, 0.0), (3, 20, 0.5), (3, 12, 1.0), (3, 20, 3.0), (3, 4, 1.0), (5, 20, 0.0)]
    + [(5, 3, 0.0), (12, 9, 1.0)],
)
def test_agrees_with_a_search_by_heaps_that_never_stops_early(
    beam_size: int, max_caption_length: int, factor: float
) -> None:
    tables = random_tables(seed=beam_size, batch_size=150, end_id=4)
    options: dict[str, Any] = {
        "end_id": 4,
        "beam_size": beam_size,
        "max_caption_length": max_caption_length,
        "length_normalization_factor": factor,
        "forbidden_ids": (7,),
    }
    found = search_tables(tables, **options)
    for table, captions in zip(tables, found, strict=True):
        assert_same_captions(captions, reference_search(lookup(table), **options))
    if beam_size == 3:  # the tables would prove little if they did not reach every outcome
        outcomes = {(len(captions) == 3, bool(captions) and captions[0][3]) for captions in found}
        assert outcomes >= {(True, True), (True, False), (False, True)}


def test_nested_state_follows_its_caption_when_beams_are_reordered() -> None:
    vocab_size, max_length, num_images, num_codes = 7, 8, 40, 1000
    tables = np.random.default_rng(1).dirichlet([0.5] * vocab_size, [num_images, num_codes])
    tables[:, :, 1] *= 0.3  # END, made rarer: longer captions reorder more often

    def step(word_ids: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        images, (code, history), step_count = state["images"], state["nested"], state["steps"]
        code = (code * 31 + word_ids + 1) % num_codes
        at_step = tf.range(max_length) == step_count[:, tf.newaxis]
        history = tf.where(at_step, word_ids[:, tf.newaxis], history)
        log_probs = tf.gather_nd(log(tables), tf.stack([images, code], axis=1))
        # The code repeats what the history says, so both must have moved together.
        replayed = tf.zeros_like(code)
        for position in range(max_length):
            advanced = (replayed * 31 + history[:, position] + 1) % num_codes
            replayed = tf.where(position <= step_count, advanced, replayed)
        log_probs = tf.where((replayed == code)[:, tf.newaxis], log_probs, -math.inf)
        return log_probs, {"images": images, "nested": (code, history), "steps": step_count + 1}

    def lookup_history(table: np.ndarray) -> NextProbs:
        return lambda ids: table[functools.reduce(lambda code, word: (code * 31 + word + 1) % num_codes, ids, 0)]

    @tf.function
    def search() -> SearchResult:
        state = {
            "images": tf.range(num_images),
            "nested": (tf.zeros([num_images], tf.int32), tf.zeros([num_images, max_length], tf.int32)),
            "steps": tf.zeros([num_images], tf.int32),
        }
        return beam_search.beam_search(
            step, state, batch_size=num_images, start_id=0, end_id=1, max_caption_length=max_length
        )

    for table, captions in zip(tables, captions_of(search()), strict=True):
        expected = reference_search(lookup_history(table), max_caption_length=max_length)
        assert_same_captions(captions, expected)


@pytest.mark.parametrize("max_caption_length", [3, 10])
def test_each_word_has_the_log_prob_its_step_gave_it(max_caption_length: int) -> None:
    tables = log(random_tables(seed=9, batch_size=40, end_id=4))

    def step(word_ids: tf.Tensor, state: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, Any]:
        images, steps = state
        return tf.gather_nd(tables, tf.stack([images, steps, word_ids], axis=1)), (images, steps + 1)

    result = beam_search.beam_search(
        step,
        (tf.range(40), tf.zeros([40], tf.int32)),
        batch_size=40,
        start_id=0,
        end_id=4,
        max_caption_length=max_caption_length,
        length_normalization_factor=1.0,
    )
    ids, lengths, found = result.word_ids.numpy(), result.lengths.numpy(), result.word_log_probs.numpy()
    for image, slot in zip(*np.nonzero(lengths), strict=True):
        for t in range(1, lengths[image, slot]):
            before, word = ids[image, slot, t - 1 : t + 1]
            assert found[image, slot, t] == tables[image, t - 1, before, word]  # To the last bit.
    assert set(result.is_complete.numpy()[lengths > 0].tolist()) == {True, False}


def test_beam_of_one_is_greedy() -> None:
    tables = random_tables(seed=5, batch_size=50)
    for table, captions in zip(tables, search_tables(tables, beam_size=1, max_caption_length=10), strict=True):
        greedy = [0]
        while greedy[-1] != 1 and len(greedy) < 10:
            greedy.append(int(np.argmax(lookup(table)(greedy))))
        assert [caption[0] for caption in captions] == [tuple(greedy)]


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_an_image_gets_the_same_captions_alone_as_in_a_batch(factor: float) -> None:
    tables = random_tables(seed=6, batch_size=6)
    together = search_tables(tables, length_normalization_factor=factor)
    alone = [search_tables(table[np.newaxis], length_normalization_factor=factor)[0] for table in tables]
    assert together == alone


def test_an_empty_batch_gives_no_captions() -> None:
    assert search_tables(np.zeros([0, 1, 5, 5])) == []


@pytest.mark.parametrize("max_caption_length", [1, 9])
def test_compiled_by_xla_it_gives_the_same(max_caption_length: int) -> None:
    tables = random_tables(seed=7, batch_size=20)
    options: dict[str, Any] = {"length_normalization_factor": 0.5, "max_caption_length": max_caption_length}
    compiled = search_tables(tables, jit_compile=True, **options)
    for found, expected in zip(compiled, search_tables(tables, **options), strict=True):
        assert_same_captions(found, expected)


def test_a_wide_vocabulary_gives_the_same_as_the_search_by_heaps() -> None:
    table = np.random.default_rng(8).dirichlet([0.1] * 1700, [1, 1700])
    (captions,) = search_tables(table[np.newaxis], max_caption_length=6)
    assert_same_captions(captions, reference_search(lookup(table), max_caption_length=6))


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_the_search_ends_when_no_partial_caption_can_reach_the_complete_ones(factor: float) -> None:
    table = log(table_of({0: {1: 0.9, 2: 0.1}, 2: {1: 0.9, 2: 0.1}}, 3)[0])
    steps = []

    def step(word_ids: tf.Tensor, state: tuple[()]) -> tuple[tf.Tensor, tuple[()]]:
        steps.append(word_ids)
        return tf.gather(table, word_ids), state

    beam_search.beam_search(
        step, (), batch_size=1, start_id=0, end_id=1, beam_size=2, length_normalization_factor=factor
    )
    # ln .9, ln .09 are complete after two steps. After n steps the only partial has .1**n and can still
    # reach ln .1**n / 20**factor: for factor 1 more than ln .09 / 3 = -.80 until ln .1**7 / 20 = -.81.
    assert len(steps) == {0.0: 2, 1.0: 7}[factor]


def test_words_below_a_probability_of_1e_12_are_not_followed() -> None:
    improbable = table_of({0: {1: 0.9e-12, 2: 1.0}}, 3)
    barely_probable = table_of({0: {1: 1.1e-12, 2: 1.0}}, 3)
    found = search_tables(np.stack([improbable, barely_probable]), beam_size=2, max_caption_length=2)
    assert [[caption[0] for caption in captions] for captions in found] == [[(0, 2)], [(0, 1)]]


def test_forbidden_words_leave_their_place_among_the_best_to_others() -> None:
    (captions,) = search_tables(table_of(TOY, 12)[np.newaxis], beam_size=2, forbidden_ids=(4, 8))
    assert [caption[0] for caption in captions] == [(0, 2, 6, 1), (0, 3, 7, 1)]


def test_an_image_for_which_every_word_is_forbidden_gets_no_caption() -> None:
    stuck = table_of({0: {2: 1.0}}, 3)
    going = table_of({0: {1: 1.0}}, 3)
    found = search_tables(np.stack([stuck, going]), forbidden_ids=(2,))
    assert [[caption[0] for caption in captions] for captions in found] == [[], [(0, 1)]]


def test_ties_go_to_the_lower_word_the_better_parent_and_the_earlier_completion() -> None:
    # From 0 all words are equal: 2 and 3 are kept (lower ids), then children of 2 before those of 3.
    equal = table_of({0: {2: 0.25, 3: 0.25, 4: 0.25, 5: 0.25}, 2: {4: 0.5, 5: 0.5}, 3: {4: 0.5, 5: 0.5}}, 6)
    found = search_tables(equal[np.newaxis], beam_size=2, max_caption_length=3)
    assert [caption[0] for caption in found[0]] == [(0, 2, 4), (0, 2, 5)]
    # (0, 1) completes first; (0, 2, 1) has the same probability and comes second.
    later = table_of({0: {1: 0.5, 2: 0.5}, 2: {1: 1.0}}, 3)
    assert [caption[0] for caption in search_tables(later[np.newaxis], beam_size=2)[0]] == [(0, 1), (0, 2, 1)]
    assert [caption[0] for caption in search_tables(later[np.newaxis], beam_size=1)[0]] == [(0, 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size is 0; it must be at least 1"),
        ({"max_caption_length": 0}, "max_caption_length is 0; it must be at least 1"),
        ({"length_normalization_factor": -1.0}, "length_normalization_factor is -1.0; it must be at least 0"),
        ({"length_normalization_factor": math.nan}, "length_normalization_factor is nan"),
        ({"length_normalization_factor": 40.0}, "20 words divided by that power are 0 in float32"),
        ({"forbidden_ids": (2, 1)}, "forbidden_ids holds the end word's id 1"),
        ({"forbidden_ids": (12,)}, "log_probs of 12 words; end_id 1 and forbidden_ids"),
        ({"forbidden_ids": (-1,)}, r"forbidden_ids \(-1,\) must be in 0 to 11"),
        ({"end_id": 12}, "log_probs of 12 words; end_id 12 and forbidden_ids"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_tables(table_of(TOY, 12)[np.newaxis], **options)


def test_a_state_of_another_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 2; the first dimension must be the batch size"):
        beam_search.beam_search(
            lambda words, state: (tf.zeros([2, 5]), state), tf.zeros([3, 4]), batch_size=2, start_id=0, end_id=1
        )
