"""The moving average of weights against its recurrence, on one device and on replicas."""

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import TrainingConfig
from im2txt.training.strategies import build_distribution
from im2txt.training.weight_average import WeightAverage


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def two_replicas():
    return build_distribution(TrainingConfig(distribution="mirrored", logical_devices=2)).strategy


def copies(variable):
    return [copy.numpy() for copy in getattr(variable, "values", [variable])]


def follow(strategy, decay, path):
    """Sets a weight to the values of a path, one update each; another one rests."""
    with strategy.scope():
        weights = {"moves": tf.Variable(path[0]), "rests": tf.Variable([0.1, 0.7])}
    average = WeightAverage(strategy, decay, weights)

    @tf.function
    def update(value, step):
        def of_replica():
            tf.raw_ops.AssignVariableOp(resource=weights["moves"].handle, value=value)
            average.update(["moves", "rests"], step)

        strategy.run(of_replica)

    for step, value in enumerate(path[1:]):
        update(tf.constant(value), tf.constant(step, tf.int64))
    return weights, average


@pytest.mark.parametrize("strategy", [one_device, two_replicas])
def test_the_average_follows_its_recurrence_and_leaves_what_rests(strategy):
    path = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    weights, average = follow(strategy(), 0.6, path)
    expected = path[0].astype(np.float64)
    for step, value in enumerate(path[1:]):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    for copy in copies(average.variables["moves"]):
        np.testing.assert_allclose(copy, expected, rtol=1e-5, atol=1e-6)
    for copy in copies(average.variables["rests"]):
        np.testing.assert_array_equal(copy, weights["rests"].numpy())


@pytest.mark.parametrize("strategy", [one_device, two_replicas])
def test_averages_stand_in_for_the_weights_and_go_again_to_the_bit(strategy):
    weights, average = follow(strategy(), 0.9, np.float32([[1.0, 2.0], [1.1, 3.0], [1.3, 5.0]]))
    weight, mean = copies(weights["moves"]), copies(average.variables["moves"])
    assert np.any(weight[0] != mean[0])
    within = []

    def interrupted():
        with average.in_place():
            within.extend(copies(weights["moves"]))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    np.testing.assert_array_equal(within, mean)
    np.testing.assert_array_equal(copies(weights["moves"]), weight)
    np.testing.assert_array_equal(copies(average.variables["moves"]), mean)


def test_a_decay_of_zero_keeps_no_average():
    weights, average = follow(one_device(), 0.0, np.float32([[1.0, 2.0], [3.0, 4.0]]))
    assert average.variables == {}
    with average.in_place():
        np.testing.assert_array_equal(weights["moves"], [3.0, 4.0])
