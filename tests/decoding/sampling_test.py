"""Sampled captions: their frequencies, what narrows them, and that they depend on seed and key alone."""

import collections
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding.beam_search import beam_search
from im2txt.decoding.sampling import sample_captions
from im2txt.decoding.word_rules import WordRules

START, END, VOCAB_SIZE, LENGTH = 0, 1, 5, 4
TABLE = np.random.default_rng(7).dirichlet([0.8] * VOCAB_SIZE, [VOCAB_SIZE]) + 1e-9
TABLE[:, START] = 0
TABLE /= TABLE.sum(axis=1, keepdims=True)


def step_fn(word_ids, state):
    with np.errstate(divide="ignore"):
        return tf.gather(tf.constant(np.log(TABLE), tf.float32), word_ids), state


def sample(keys, seed=1, rules=None, **settings):
    function = tf.function(
        lambda keys: sample_captions(
            step_fn,
            tf.zeros([tf.shape(keys)[0], 1]),
            rules or WordRules(END),
            keys=keys,
            seed=seed,
            start_id=START,
            **{"max_caption_length": LENGTH, **settings},
        )
    )
    return function(tf.constant(keys, tf.int64))


def captions_of(result):
    ids, lengths = result.word_ids.numpy(), result.lengths.numpy()
    return [
        tuple(row[:length])
        for rows, row_lengths in zip(ids, lengths, strict=True)
        for row, length in zip(rows, row_lengths, strict=True)
    ]


def chance(caption, weights):
    return math.prod(weights[a, b] for a, b in itertools.pairwise(caption))


def tempered(temperature=1.0, top_k=VOCAB_SIZE, top_p=1.0):
    """The chances of the next word by the definitions, word by word."""
    weights = np.zeros_like(TABLE)
    for last, row in enumerate(TABLE):
        powered = row ** (1 / temperature)
        kept = sorted(range(VOCAB_SIZE), key=lambda word: -row[word])[:top_k]
        total = sum(powered[kept])
        mass = 0.0
        for word in kept:
            if mass >= top_p:
                break
            weights[last, word] = powered[word]
            mass += powered[word] / total
        weights[last] /= weights[last].sum()
    return weights


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 2},
        {"top_p": 0.7},
        {"top_k": 3, "top_p": 0.8, "temperature": 1.5},
    ],
)
def test_captions_come_as_often_as_they_should(settings):
    number = 6_000
    found = collections.Counter(captions_of(sample(range(number // 10), num_samples=10, **settings)))
    weights = tempered(**settings)
    for caption, count in found.items():
        expected = number * chance(caption, weights)
        assert expected > 0, caption
        assert abs(count - expected) < 5 * math.sqrt(expected) + 1, caption
    assert sum(chance(caption, weights) for caption in found) > 0.99


def test_probabilities_are_the_models_own_and_sorted():
    result = sample(range(20), num_samples=3, temperature=3.0)
    log_probs = result.log_probs.numpy()
    np.testing.assert_allclose(
        log_probs.ravel(), [math.log(chance(caption, TABLE)) for caption in captions_of(result)], rtol=1e-4
    )
    assert np.all(np.diff(log_probs, axis=1) <= 0)
    np.testing.assert_allclose(tf.reduce_sum(result.word_log_probs, axis=2), log_probs, rtol=1e-5)
    assert np.array_equal(result.is_complete.numpy().ravel(), [caption[-1] == END for caption in captions_of(result)])


def test_an_images_captions_depend_on_its_key_and_the_seed_alone():
    together = sample([5, 9, 2], num_samples=4)
    alone = sample([9], num_samples=4)
    np.testing.assert_array_equal(together.word_ids[1], alone.word_ids[0])
    assert not np.array_equal(together.word_ids[0], together.word_ids[1])
    assert not np.array_equal(sample([9], seed=2, num_samples=4).word_ids, alone.word_ids)


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}])
def test_the_narrowest_choice_is_greedy_search(settings):
    sampled = sample([1, 2], num_samples=1, **settings)
    greedy = tf.function(
        lambda: beam_search(
            step_fn, tf.zeros([2, 1]), batch_size=2, start_id=START, end_id=END, beam_size=1, max_caption_length=LENGTH
        )
    )()
    np.testing.assert_array_equal(sampled.word_ids, greedy.word_ids)
    np.testing.assert_allclose(sampled.log_probs, greedy.log_probs, rtol=1e-5)


def test_rules_hold_for_samples():
    rules = WordRules(END, forbidden_ids=(3,), min_caption_length=4, no_repeat_ngram_size=1)
    for caption in captions_of(sample(range(50), rules=rules, num_samples=2, max_caption_length=5)):
        assert 3 not in caption
        assert len(set(caption)) == len(caption)
        assert END not in caption[:3]


def test_a_caption_that_nothing_may_follow_ends_there():
    rules = WordRules(END, min_caption_length=9, no_repeat_ngram_size=1)
    result = sample(range(10), rules=rules, num_samples=1, max_caption_length=8)
    # Three words that are neither start nor end, each once.
    assert {len(caption) for caption in captions_of(result)} == {4}
    assert not result.is_complete.numpy().any()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; it must be above 0"),
        ({"top_p": 1.5}, "top_p is 1.5; it must be in"),
        ({"top_k": -1}, "top_k is -1"),
        ({"num_samples": 0}, "num_samples is 0"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        sample([1], **settings)
