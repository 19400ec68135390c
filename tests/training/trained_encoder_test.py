"""The encoder in training: from which step on, with which statistics, and with what added to the loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import EncoderConfig, OptimizationConfig, ShowAndTellConfig, TrainingConfig
from im2txt.model import image_encoder
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.model.image_encoder import ImageEncoder
from im2txt.training.optimization import Optimizer
from im2txt.training.strategies import build_distribution
from im2txt.training.train_step import Trainer

V, T, IMAGES, CAPTIONS, SIZE = 7, 3, 4, 2, 8
DECODER = ShowAndTellConfig(embedding_size=3, num_lstm_units=3, input_dropout_rate=0.0, output_dropout_rate=0.0)


def normalised_network(input_shape):
    images = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, name="conv", use_bias=False)(images)
    x = keras.layers.BatchNormalization(name="norm", momentum=0.75)(x)
    return keras.Model(images, keras.layers.ReLU()(x))


@pytest.fixture(autouse=True)
def _network_with_batch_normalisation(monkeypatch):
    """A real backbone would take seconds to build and trace."""
    monkeypatch.setattr(image_encoder, "_small_cnn", normalised_network)


def batches(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        rows = IMAGES * CAPTIONS
        yield {
            # Brighter from one photograph to the next: halves of the batch have other statistics than the whole.
            "images": (
                generator.random((IMAGES, SIZE, SIZE, 3)) * np.linspace(0.1, 1, IMAGES)[:, None, None, None]
            ).astype(np.float32),
            "input_ids": generator.integers(0, V, (rows, T), dtype=np.int32),
            "target_ids": generator.integers(0, V, (rows, T), dtype=np.int32),
            "mask": np.arange(T) < generator.integers(1, T + 1, (rows, 1)),
        }


def build(strategy, num_batches, rule="sgd", from_step=0, l2=0.0, parts=1, **encoder):
    """A trainer, and the stream of its batches cut over the strategy's replicas."""
    config = OptimizationConfig(optimizer=rule, learning_rate=0.1, schedule="constant", clip_norm=1.0)
    keras.utils.set_random_seed(1)
    with strategy.scope():
        settings = EncoderConfig(backbone="SmallCNN", weights="none", image_size=SIZE, trainable=True, **encoder)
        network = ImageEncoder(settings)
        captioner = Captioner(network, ShowAndTellDecoder(DECODER, V, network.feature_shape, seed=0))
        optimizer = Optimizer(config, captioner.trainable_variables, from_step)
    trainer = Trainer(
        strategy,
        captioner,
        optimizer,
        lambda step: tf.constant(0.1),
        config,
        seed=1,
        l2_regularization=l2,
        accumulation_steps=parts,
    )
    replicas = strategy.num_replicas_in_sync

    def dataset(context):
        cut = [
            {name: np.split(value, replicas)[r] for name, value in batch.items()}
            for batch in batches(num_batches)
            for r in range(replicas)
        ]
        return tf.data.Dataset.from_tensor_slices({name: np.stack([p[name] for p in cut]) for name in cut[0]})

    return trainer, iter(strategy.distribute_datasets_from_function(dataset))


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def two_replicas():
    return build_distribution(TrainingConfig(distribution="mirrored", logical_devices=2)).strategy


def values(variables):
    return {name: v.numpy() for name, v in variables.items()}


def moved(before, after, start=""):
    return {name for name in before if name.startswith(start) and np.any(before[name] != after[name])}


def test_the_encoder_rests_until_its_first_step():
    trainer, stream = build(one_device(), 4, rule="adam", from_step=2, update_batch_norm=True)
    before, slots = values(trainer.captioner.variables), values(trainer.optimizer.variables)
    trainer.train_steps(stream, 2)
    alone, alone_slots = values(trainer.captioner.variables), values(trainer.optimizer.variables)
    assert moved(before, alone, "encoder/") == moved(slots, alone_slots, "encoder/") == set()
    assert moved(before, alone, "decoder/") == {name for name in before if name.startswith("decoder/")}
    trainer.train_steps(stream, 1)
    # The first update of Adam is the rate, whatever the gradient, on every weight that has one.
    after = values(trainer.captioner.variables)
    assert moved(alone, after, "encoder/") == {name for name in before if name.startswith("encoder/")}
    trained = [name for name in trainer.captioner.trainable_variables if name.startswith("encoder/")]
    assert len(trained) == 3  # Kernel, gamma and beta.
    assert max(np.abs(after[name] - alone[name]).max() for name in trained) == pytest.approx(0.1, rel=1e-3)


def test_one_call_across_the_encoder_s_first_step_equals_single_steps():
    together, stream = build(one_device(), 4, rule="adam", from_step=2, l2=0.1)
    metrics = together.train_steps(stream, 4)
    singly, stream = build(one_device(), 4, rule="adam", from_step=2, l2=0.1)
    each = [singly.train_steps(stream, 1) for _ in range(4)]
    assert [m.l2_loss > 0 for m in each] == [False, False, True, True]
    for name in ("loss_sum", "words", "gradient_norm", "l2_loss"):
        assert getattr(metrics, name) == sum(getattr(m, name) for m in each)
    assert moved(values(together.captioner.variables), values(singly.captioner.variables)) == set()


def test_frozen_batch_normalisation_keeps_its_statistics():
    trainer, stream = build(one_device(), 2)
    before = values(trainer.captioner.variables)
    trainer.train_steps(stream, 2)
    statistics = [name for name in before if "moving" in name]
    assert len(statistics) == 2
    assert not moved(before, values(trainer.captioner.variables)) & set(statistics)


def test_statistics_are_those_of_the_whole_batch_over_all_replicas():
    trainer, stream = build(two_replicas(), 1, update_batch_norm=True)
    kernel = next(v for name, v in trainer.captioner.variables.items() if name.endswith("Conv2D/kernel")).numpy()
    trainer.train_steps(stream, 1)
    images = next(batches(1))["images"].astype(np.float64) * 2 - 1
    patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))  # [I, 6, 6, 3, 3, 3]
    convolved = np.einsum("ihwcab,abco->ihwo", patches, kernel)
    expected = {
        "moving_mean": 0.25 * convolved.mean((0, 1, 2)),
        "moving_variance": 0.75 + 0.25 * convolved.var((0, 1, 2)),
    }
    for name, variable in trainer.captioner.variables.items():
        if "moving" in name:
            for of_replica in variable.values:
                np.testing.assert_allclose(of_replica.numpy(), expected[name.rpartition("/")[2]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("update_batch_norm", [False, True])
def test_replicas_train_an_encoder_as_one_device_does(update_batch_norm):
    one, stream = build(one_device(), 3, l2=0.01, update_batch_norm=update_batch_norm)
    one_metrics = one.train_steps(stream, 3)
    two, stream = build(two_replicas(), 3, l2=0.01, update_batch_norm=update_batch_norm)
    two_metrics = two.train_steps(stream, 3)
    for name, value in values(one.captioner.variables).items():
        np.testing.assert_allclose(two.captioner.variables[name].numpy(), value, rtol=1e-4, atol=2e-6, err_msg=name)
    assert two_metrics.l2_loss == pytest.approx(one_metrics.l2_loss, rel=1e-6)
    for variable in two.captioner.variables.values():
        np.testing.assert_array_equal(*(copy.numpy() for copy in variable.values))


def test_l2_is_told_apart_from_the_captions_loss_and_added_once():
    plain, stream = build(two_replicas(), 1)
    plain_metrics = plain.train_steps(stream, 1)
    trainer, stream = build(two_replicas(), 1, l2=0.02)
    kernel = next(v for name, v in trainer.captioner.variables.items() if name.endswith("Conv2D/kernel")).numpy()
    metrics = trainer.train_steps(stream, 1)
    assert metrics.loss_sum == plain_metrics.loss_sum
    assert metrics.l2_loss == pytest.approx(0.01 * (kernel.astype(np.float64) ** 2).sum(), rel=1e-5)
    assert plain_metrics.l2_loss == 0


@pytest.mark.parametrize("strategy", [one_device, two_replicas])
def test_a_batch_in_parts_gives_the_update_of_the_whole(strategy):
    parts = IMAGES // strategy().num_replicas_in_sync
    whole, stream = build(strategy(), 3)
    whole_metrics = whole.train_steps(stream, 3)
    cut, stream = build(strategy(), 3, parts=parts)
    metrics = cut.train_steps(stream, 3)
    for name, value in values(whole.captioner.variables).items():
        np.testing.assert_allclose(cut.captioner.variables[name].numpy(), value, rtol=1e-6, atol=1e-6, err_msg=name)
    assert metrics.words == whole_metrics.words
    assert metrics.loss_sum == pytest.approx(whole_metrics.loss_sum, rel=1e-6)
    assert metrics.gradient_norm == pytest.approx(whole_metrics.gradient_norm, rel=1e-5)
