"""Cross entropy against closed forms."""

import math

import numpy as np
import tensorflow as tf

from im2txt.model.losses import word_losses


def test_uniform_logits_give_ln_v():
    losses = word_losses(tf.fill([4, 11], 3.0), tf.constant([0, 3, 10, 5]))
    np.testing.assert_allclose(losses, [math.log(11)] * 4, rtol=1e-6)


def test_loss_equals_minus_log_softmax():
    logits = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    targets = [4, 0, 2]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [-math.log(probabilities[row, target]) for row, target in enumerate(targets)]
    np.testing.assert_allclose(word_losses(tf.constant(logits), tf.constant(targets)), expected, rtol=1e-5)


def test_label_smoothing_is_cross_entropy_with_the_smoothed_distribution():
    logits = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    smoothed = np.full((2, 4), 0.2 / 4)
    smoothed[0, 1] += 0.8
    smoothed[1, 3] += 0.8
    expected = -(smoothed * log_probs).sum(axis=1)
    np.testing.assert_allclose(word_losses(tf.constant(logits), tf.constant([1, 3]), 0.2), expected, rtol=1e-5)


def test_bfloat16_logits_are_summed_in_float32():
    logits = tf.cast(tf.fill([1, 5000], 1.0), tf.bfloat16)
    losses = word_losses(logits, tf.constant([7]))
    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, [math.log(5000)], rtol=1e-5)
