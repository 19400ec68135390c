"""Perplexity against closed forms."""

import math

import pytest
import tensorflow as tf

from im2txt.metrics.perplexity import build_perplexity


class FixedLosses:
    """Stands for a captioner: the batch itself holds the losses of its words."""

    def word_losses(self, batch):
        return batch["losses"]


def batches(*losses):
    return [{"losses": tf.constant(values, tf.float32)} for values in losses]


def test_perplexity_is_exp_of_the_mean_over_words_not_over_batches():
    perplexity, words = build_perplexity(FixedLosses().word_losses)(batches([1.0, 2.0, 3.0], [6.0]))
    assert words == 4
    assert math.isclose(perplexity, math.exp(3.0), rel_tol=1e-9)


def test_uniform_model_has_perplexity_v():
    perplexity, _ = build_perplexity(FixedLosses().word_losses)(batches([math.log(12_000)] * 7))
    assert math.isclose(perplexity, 12_000, rel_tol=1e-5)


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="no words"):
        build_perplexity(FixedLosses().word_losses)([])
