"""Diverse beams, against each image's groups searched one by one in Python, and against plain beam search."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding.beam_search import beam_search

END, VOCAB_SIZE, NUM_IMAGES, MAX_LENGTH = 1, 8, 60, 9


def make_tables(seed):
    """Chances [B, T, V, V] of the next word, from peaked to flat, that differ from step to step."""
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(NUM_IMAGES):
        table = rng.dirichlet([10 ** rng.uniform(-1, 0.5)] * VOCAB_SIZE, [MAX_LENGTH, VOCAB_SIZE]) + 1e-9
        table[:, :, END] *= 10 ** rng.uniform(-3, 0.5)
        tables.append(table / table.sum(axis=2, keepdims=True))
    return np.stack(tables).astype(np.float32)


def search(tables, jit_compile=False, **options):
    """[(word_ids, log_prob, score, is_complete), ...] of each image."""

    def step(word_ids, state):
        images, steps = state
        return tf.math.log(tf.gather_nd(tables, tf.stack([images, steps, word_ids], axis=1))), (images, steps + 1)

    @tf.function(jit_compile=jit_compile)
    def run():
        state = (tf.range(len(tables)), tf.zeros([len(tables)], tf.int32))
        settings = {"max_caption_length": MAX_LENGTH, **options}
        return beam_search(step, state, batch_size=len(tables), start_id=0, end_id=END, **settings)

    result = run()
    np.testing.assert_allclose(
        tf.reduce_sum(result.word_log_probs, axis=2)[result.lengths > 0],
        result.log_probs[result.lengths > 0],
        rtol=1e-5,
        atol=1e-6,
    )
    ids, lengths, scores, log_probs, _, is_complete, counts = (value.numpy() for value in result)
    return [
        [
            (tuple(ids[b, k, : lengths[b, k]].tolist()), log_probs[b, k], scores[b, k], bool(is_complete[b, k]))
            for k in range(counts[b])
        ]
        for b in range(len(tables))
    ]


def reference(table, group_size, num_groups, strength, factor=0.0, max_length=MAX_LENGTH):
    """One image in float64, group after group at each step, never stopped early."""
    partials = [[((0,), 0.0)] for _ in range(num_groups)]
    complete = [[] for _ in range(num_groups)]
    for _ in range(max_length - 1):
        taken = collections.Counter()
        for group in range(num_groups):
            grown = []
            for ids, log_prob in partials[group]:
                chances = table[len(ids) - 1, ids[-1]].astype(np.float64)
                cost = np.array([strength * taken[word] for word in range(VOCAB_SIZE)])
                for word in np.argsort(cost - np.log(chances), kind="stable")[:group_size]:
                    total = log_prob + math.log(chances[word])
                    if word == END:
                        complete[group].append(((*ids, END), total, total / (len(ids) + 1) ** factor, True))
                    else:
                        grown.append((total - cost[word], (*ids, int(word)), total))
            grown.sort(key=lambda item: -item[0])
            partials[group] = [(ids, total) for _, ids, total in grown[:group_size]]
            complete[group] = sorted(complete[group], key=lambda item: -item[2])[:group_size]
            for ids, _ in partials[group]:
                taken[ids[-1]] += 1
    found = [caption for of_group in complete for caption in of_group]
    if not found:
        found = [(ids, total, total, False) for of_group in partials for ids, total in of_group]
    return sorted(found, key=lambda item: -item[2])


@pytest.mark.parametrize(
    ("group_size", "num_groups", "strength", "options"),
    [
        (1, 3, 0.5, {}),
        (2, 2, 0.7, {}),
        (2, 3, 3.0, {"length_normalization_factor": 0.7}),
        (3, 2, 0.3, {"max_caption_length": 4}),
    ],
)
def test_agrees_with_groups_searched_one_by_one(group_size, num_groups, strength, options):
    tables = make_tables(group_size)
    sizes = {"beam_size": group_size * num_groups, "num_groups": num_groups, "diversity_strength": strength}
    found = search(tables, **sizes, **options)
    factor = options.get("length_normalization_factor", 0.0)
    max_length = options.get("max_caption_length", MAX_LENGTH)
    for table, captions in zip(tables, found, strict=True):
        expected = reference(table, group_size, num_groups, strength, factor, max_length)
        assert [(c[0], c[3]) for c in captions] == [(c[0], c[3]) for c in expected]
        np.testing.assert_allclose([c[1:3] for c in captions], [c[1:3] for c in expected], rtol=1e-4, atol=1e-5)
    plain = search(tables, beam_size=sizes["beam_size"], **options)
    assert sum(one != other for one, other in zip(found, plain, strict=True)) > NUM_IMAGES / 2


def test_one_group_is_plain_beam_search_whatever_the_strength():
    tables = make_tables(5)
    assert search(tables, beam_size=3, num_groups=1, diversity_strength=2.0) == search(tables, beam_size=3)


def test_groups_without_diversity_all_find_what_plain_beam_search_finds():
    tables = make_tables(6)
    for of_groups, plain in zip(search(tables, beam_size=6, num_groups=3), search(tables, beam_size=2), strict=True):
        assert of_groups == sorted((caption for caption in plain for _ in range(3)), key=lambda c: -c[2])


def test_more_strength_gives_more_first_words():
    tables = make_tables(7)
    counts = [
        sum(
            len({caption[0][1] for caption in captions})
            for captions in search(tables, beam_size=4, num_groups=4, diversity_strength=strength)
        )
        for strength in (0.0, 0.5, 50.0)
    ]
    assert counts[0] < counts[1] < counts[2]


def test_compiled_by_xla_it_gives_the_same():
    tables = make_tables(8)
    options = {"beam_size": 4, "num_groups": 2, "diversity_strength": 0.5}
    compiled = search(tables, jit_compile=True, **options)
    assert [[c[0] for c in captions] for captions in compiled] == [
        [c[0] for c in captions] for captions in search(tables, **options)
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beam_size": 4, "num_groups": 3}, "num_groups is 3; beam_size 4 must be a multiple of it"),
        ({"beam_size": 4, "num_groups": 0}, "num_groups is 0"),
        ({"diversity_strength": -0.5}, "diversity_strength is -0.5; it must be at least 0"),
    ],
)
def test_groups_that_do_not_fit_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        search(make_tables(1), **options)
