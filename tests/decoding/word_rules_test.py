"""What may follow, against the same rules written as Python loops."""

import math
import random

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding.word_rules import WordRules

VOCAB_SIZE, END = 6, 1


def apply(rules, captions, max_length=9):
    length = len(captions[0])
    word_ids = np.full((len(captions), max_length), END, np.int32)
    word_ids[:, :length] = captions
    log_probs = tf.fill([len(captions), VOCAB_SIZE], -0.5)
    function = tf.function(rules.apply)
    return function(log_probs, tf.constant(word_ids), tf.constant(length)).numpy() > -math.inf


def repeats(caption, word, size):
    """Whether the word would complete a run of `size` words that the caption holds already."""
    run = [*caption, word][-size:]
    return len(run) == size and any(caption[i : i + size] == run for i in range(len(caption) - size + 1))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_no_run_of_words_stands_twice(size):
    generator = random.Random(size)
    for length in range(1, 9):
        captions = [[0, *generator.choices([0, 2, 3], k=length - 1)] for _ in range(40)]
        allowed = apply(WordRules(END, no_repeat_ngram_size=size), captions)
        for row, caption in zip(allowed, captions, strict=True):
            assert row.tolist() == [not repeats(caption, word, size) for word in range(VOCAB_SIZE)]


def test_a_run_longer_than_any_caption_bans_nothing():
    assert apply(WordRules(END, no_repeat_ngram_size=10), [[0, 2, 2, 2]]).all()


def test_the_end_waits_for_the_least_length():
    # With the end word a caption of 2 words would have 3.
    for least, may_end in ((2, True), (3, True), (4, False)):
        allowed = apply(WordRules(END, min_caption_length=least), [[0, 2]])[0]
        assert allowed.tolist() == [True, may_end, True, True, True, True]


def test_forbidden_words_are_never_allowed():
    assert apply(WordRules(END, forbidden_ids=(0, 5)), [[0, 2]])[0].tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"forbidden_ids": (1,)}, "forbidden_ids holds the end word's id 1"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size is -1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules, told):
    with pytest.raises(ValueError, match=told):
        WordRules(END, **rules)
