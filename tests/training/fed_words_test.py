"""What the decoder reads in training, with captioners whose predictions are known."""

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import OptimizationConfig
from im2txt.training.fed_words import FedWords, drop_words, sample_words

B, T, V, UNKNOWN = 400, 5, 6, 4
SEED = tf.constant([3, 8], tf.int64)
INPUT_IDS = tf.constant(np.random.default_rng(0).integers(0, V, (B, T)), tf.int32)
FEATURES = tf.constant(np.random.default_rng(1).integers(0, V, (B // 2, 1)), tf.float32)  # Two captions of each.


class NextWord:
    """Predicts with certainty the word after the one it was fed with."""

    def start(self, batch, num_steps):
        return tf.zeros([len(batch["features"]), 1]), self.step

    def step(self, word_ids, state):
        return tf.math.log(tf.one_hot((word_ids + 1) % V, V)), state


class UnevenOdds(NextWord):
    """Predicts the words 0 and 3 with a quarter and three quarters."""

    def step(self, word_ids, state):
        return tf.math.log(tf.tile([[0.25, 0, 0, 0.75, 0, 0]], [len(word_ids), 1])), state


class OwnNumber(NextWord):
    """Predicts the number that the photograph's features hold."""

    def start(self, batch, num_steps):
        return batch["features"], self.step

    def step(self, word_ids, state):
        return tf.math.log(tf.one_hot(tf.cast(state[:, 0], tf.int32), V)), state


def sample(captioner, rate, seed=SEED):
    return tf.function(sample_words)(captioner, FEATURES, INPUT_IDS, tf.constant(rate), seed).numpy()


def test_no_word_is_drawn_at_a_rate_of_zero():
    np.testing.assert_array_equal(sample(NextWord(), 0.0), INPUT_IDS)


def test_at_a_rate_of_one_each_word_is_predicted_from_the_one_that_was_drawn():
    first = INPUT_IDS[:, :1].numpy()
    np.testing.assert_array_equal(sample(NextWord(), 1.0), (first + np.arange(T)) % V)


def test_a_drawn_word_follows_what_was_read_before_it_drawn_or_not():
    words, given = sample(NextWord(), 0.3), INPUT_IDS.numpy()
    predicted = (words[:, :-1] + 1) % V
    assert np.all((words[:, 1:] == given[:, 1:]) | (words[:, 1:] == predicted))
    # Where given and predicted differ, it can be seen which of the two it was.
    seen = given[:, 1:] != predicted
    drawn = words[:, 1:] == predicted
    assert abs(drawn[seen].mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / seen.sum())
    # One coin per word, not per caption: of four words, 0.7**4 + 0.3**4 of the captions have all alike.
    rows = drawn[seen.all(1)]
    assert abs((rows.any(1) & ~rows.all(1)).mean() - 0.75) < 0.15


def test_words_are_drawn_in_proportion_to_their_probability():
    words = sample(UnevenOdds(), 1.0)[:, 1:]
    assert set(np.unique(words)) == {0, 3}
    assert abs((words == 3).mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / words.size)


def test_each_caption_is_drawn_after_its_own_photograph():
    np.testing.assert_array_equal(sample(OwnNumber(), 1.0)[:, 1:], np.repeat(FEATURES, 2, 0) * np.ones(T - 1))


def test_draws_depend_on_the_seed_alone():
    np.testing.assert_array_equal(sample(UnevenOdds(), 0.5), sample(UnevenOdds(), 0.5))
    assert np.any(sample(UnevenOdds(), 0.5) != sample(UnevenOdds(), 0.5, SEED + 1))


def test_dropped_words_are_unknown_and_the_first_stays():
    dropped, given = drop_words(INPUT_IDS, UNKNOWN, 0.25, SEED).numpy(), INPUT_IDS.numpy()
    np.testing.assert_array_equal(dropped[:, 0], given[:, 0])
    changed = dropped != given
    assert set(dropped[changed]) == {UNKNOWN}
    share = changed[:, 1:][given[:, 1:] != UNKNOWN]
    assert abs(share.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / share.size)
    np.testing.assert_array_equal(drop_words(INPUT_IDS, UNKNOWN, 0.0, SEED), given)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (20, 0.0), (60, 0.15), (100, 0.3), (999, 0.3)])
def test_the_share_of_draws_rises_in_a_straight_line_to_the_last_step(step, rate):
    fed = FedWords(OptimizationConfig(scheduled_sampling_rate=0.3), UNKNOWN, 20, 100)
    assert float(fed.sampling_rate(tf.constant(step, tf.int64))) == pytest.approx(rate)


def fed_at(step, **config):
    fed = FedWords(OptimizationConfig(**config), UNKNOWN, 20, 100)
    read = tf.function(lambda step: fed(NextWord(), FEATURES, INPUT_IDS, step, SEED))
    return read(tf.constant(step, tf.int64)).numpy()


def test_words_are_drawn_only_from_their_first_step_on_and_dropped_at_all():
    given = INPUT_IDS.numpy()
    np.testing.assert_array_equal(fed_at(20, scheduled_sampling_rate=1.0), given)
    np.testing.assert_array_equal(fed_at(100, scheduled_sampling_rate=1.0), (given[:, :1] + np.arange(T)) % V)
    assert np.any(fed_at(0, word_dropout_rate=0.5) != given)
    np.testing.assert_array_equal(fed_at(0), given)
