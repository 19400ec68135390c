"""Training steps: one of them against NumPy, several per call, and two replicas against one."""

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import OptimizationConfig, ShowAndTellConfig, TrainingConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.training.optimization import Optimizer
from im2txt.training.strategies import build_distribution
from im2txt.training.train_step import Trainer

V, F, B, T = 9, 4, 4, 3
DECODER = ShowAndTellConfig(embedding_size=5, num_lstm_units=5, input_dropout_rate=0.0, output_dropout_rate=0.0)


def batches(count):
    """Batches of unequal numbers of real words in their two halves."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        lengths = np.array([3, 2, 1, 1])
        yield {
            "features": generator.normal(size=(B, F)).astype(np.float32),
            "input_ids": generator.integers(0, V, (B, T), dtype=np.int32),
            "target_ids": generator.integers(0, V, (B, T), dtype=np.int32),
            "mask": np.arange(T) < lengths[:, None],
        }


def train(strategy, config, num_steps, decoder_config=DECODER, steps_per_call=1):
    """Trains on `batches`, cut over the strategy's replicas; returns trainer and last call's metrics."""
    with strategy.scope():
        captioner = Captioner(None, ShowAndTellDecoder(decoder_config, V, (F,), seed=0))
        optimizer = Optimizer(config, captioner.trainable_variables)
    trainer = Trainer(strategy, captioner, optimizer, lambda step: tf.constant(config.learning_rate), config, seed=1)
    replicas = strategy.num_replicas_in_sync

    def dataset(context):
        parts = [
            {name: np.split(value, replicas)[r] for name, value in batch.items()}
            for batch in batches(num_steps)
            for r in range(replicas)
        ]
        return tf.data.Dataset.from_tensor_slices({name: np.stack([p[name] for p in parts]) for name in parts[0]})

    stream = iter(strategy.distribute_datasets_from_function(dataset))
    for _ in range(num_steps // steps_per_call):
        metrics = trainer.train_steps(stream, steps_per_call)
    return trainer, metrics


def weights(trainer):
    return {name: v.numpy() for name, v in trainer.captioner.variables.items()}


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def two_replicas():
    return build_distribution(TrainingConfig(distribution="mirrored", logical_devices=2)).strategy


def test_one_step_is_minus_rate_times_clipped_gradient_of_the_mean_word_loss():
    config = OptimizationConfig(optimizer="sgd", learning_rate=0.5, clip_norm=0.1)
    trainer, metrics = train(one_device(), config, 1)
    reference = Captioner(None, ShowAndTellDecoder(DECODER, V, (F,), seed=0))
    batch = {name: tf.constant(value) for name, value in next(batches(1)).items()}
    variables = reference.variables
    with tf.GradientTape() as tape:
        losses = reference.word_losses(batch)
        loss = tf.reduce_sum(losses) / 7.0  # 3 + 2 + 1 + 1 real words
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, list(variables.values()))]
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    assert norm > 0.1
    for (name, before), gradient in zip(variables.items(), gradients, strict=True):
        np.testing.assert_allclose(weights(trainer)[name], before - 0.5 * gradient * 0.1 / norm, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(metrics.gradient_norm, norm, rtol=1e-5)
    np.testing.assert_allclose(metrics.loss_sum, float(tf.reduce_sum(losses)), rtol=1e-5)
    assert float(metrics.words) == 7.0
    assert int(trainer.global_step) == 1


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_two_replicas_equal_one_device(rule):
    decay = 0.01 if rule == "adamw" else 0.0
    config = OptimizationConfig(optimizer=rule, learning_rate=0.05, clip_norm=0.1, weight_decay=decay)
    single, single_metrics = train(one_device(), config, 4)
    mirrored, mirrored_metrics = train(two_replicas(), config, 4)
    for name, value in weights(single).items():
        np.testing.assert_allclose(weights(mirrored)[name], value, rtol=1e-4, atol=2e-6)
    for variable in mirrored.captioner.variables.values():
        first, second = (copy.numpy() for copy in variable.values)
        np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(mirrored_metrics.loss_sum, single_metrics.loss_sum, rtol=1e-5)
    np.testing.assert_allclose(mirrored_metrics.gradient_norm, single_metrics.gradient_norm, rtol=1e-4)


def test_several_steps_per_call_equal_single_calls():
    config = OptimizationConfig(optimizer="adam", learning_rate=0.01)
    dropping = ShowAndTellConfig(embedding_size=5, num_lstm_units=5)
    singly, _ = train(one_device(), config, 4, dropping, steps_per_call=1)
    together, _ = train(one_device(), config, 4, dropping, steps_per_call=4)
    for name, value in weights(singly).items():
        np.testing.assert_array_equal(weights(together)[name], value)


def test_replicas_draw_different_dropout():
    config = OptimizationConfig(optimizer="sgd", learning_rate=1.0, clip_norm=0.0)
    dropping = ShowAndTellConfig(embedding_size=5, num_lstm_units=5, output_dropout_rate=0.5, input_dropout_rate=0.5)
    single, _ = train(one_device(), config, 1, dropping)
    mirrored, _ = train(two_replicas(), config, 1, dropping)
    differences = [np.abs(weights(mirrored)[name] - value).max() for name, value in weights(single).items()]
    assert max(differences) > 1e-4
