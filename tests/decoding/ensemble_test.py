"""Ensembles of planted tables, against the search over their mean."""

import types

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding.beam_search import beam_search
from im2txt.decoding.ensemble import EnsembleCaptioner, ensemble_step

VOCAB_SIZE = 7


def table_of(seed):
    return np.random.default_rng(seed).dirichlet([0.4] * VOCAB_SIZE, [VOCAB_SIZE]) + 1e-9


def step_of(table):
    log_table = tf.constant(np.log(table), tf.float32)
    return lambda word_ids, state: (tf.gather(log_table, word_ids), state + 1)


def search(step_fn, state):
    return tf.function(
        lambda: beam_search(step_fn, state, batch_size=2, start_id=0, end_id=1, beam_size=4, max_caption_length=8)
    )()


def test_probabilities_are_averaged_word_by_word():
    tables = [table_of(seed) for seed in (1, 2, 3)]
    states = (tf.zeros([2, 1]), tf.zeros([2, 3]), tf.zeros([2], tf.int32))  # Members differ in their states.
    together = search(ensemble_step([step_of(table) for table in tables]), states)
    mean = search(step_of(np.mean(tables, axis=0)), tf.zeros([2, 1]))
    np.testing.assert_array_equal(together.word_ids, mean.word_ids)
    np.testing.assert_allclose(together.log_probs, mean.log_probs, rtol=1e-5)
    alone = search(step_of(tables[0]), tf.zeros([2, 1]))
    assert not np.array_equal(alone.word_ids, mean.word_ids)


def test_every_member_keeps_its_own_state():
    log_probs, states = ensemble_step([step_of(table_of(1)), step_of(table_of(2))])(
        tf.constant([0, 3]), (tf.constant([[5.0], [6.0]]), tf.constant([7, 8]))
    )
    assert log_probs.shape == (2, VOCAB_SIZE)
    np.testing.assert_array_equal(states[0], [[6.0], [7.0]])
    np.testing.assert_array_equal(states[1], [8, 9])


def test_log_probabilities_never_exceed_zero():
    certain = np.full((VOCAB_SIZE, VOCAB_SIZE), 1e-30)
    certain[:, 1] = 1.0
    log_probs, _ = ensemble_step([step_of(certain)] * 3)(tf.constant([0]), (tf.zeros([1]),) * 3)
    assert float(tf.reduce_max(log_probs)) <= 0


def test_no_member_is_refused():
    with pytest.raises(ValueError, match="at least one step function"):
        ensemble_step([])


def test_tables_of_other_sizes_cannot_speak_as_one():
    captioners = [types.SimpleNamespace(vocab_size=size) for size in (12000, 11520)]
    with pytest.raises(ValueError, match="tables of 11520 and 12000 words cannot speak as one"):
        EnsembleCaptioner(captioners)
