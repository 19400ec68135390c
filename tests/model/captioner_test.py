"""The captioner's loss: padding, shared photographs, initial value; and one batch overfitted."""

import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import EncoderConfig, ShowAndTellConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.model.image_encoder import ImageEncoder

V, F = 11, 6
CONFIG = ShowAndTellConfig(embedding_size=8, num_lstm_units=8, input_dropout_rate=0.0, output_dropout_rate=0.0)


def captioner(**fields):
    return Captioner(None, ShowAndTellDecoder(CONFIG, V, (F,), seed=0, **fields))


def batch(target_rows, features=None):
    """Rows of target ids, of any lengths; input is the target shifted, starting with word 1."""
    length = max(map(len, target_rows))
    targets = np.zeros((len(target_rows), length), np.int32)
    inputs, mask = targets.copy(), np.zeros_like(targets, bool)
    for row, ids in enumerate(target_rows):
        targets[row, : len(ids)] = ids
        inputs[row, : len(ids)] = [1, *ids[:-1]]
        mask[row, : len(ids)] = True
    if features is None:
        features = np.random.default_rng(5).normal(size=(len(target_rows), F))
    return {
        "features": tf.constant(features, tf.float32),
        "input_ids": tf.constant(inputs),
        "target_ids": tf.constant(targets),
        "mask": tf.constant(mask),
    }


def test_first_loss_is_near_ln_v():
    losses = captioner().word_losses(batch([[3, 4, 2], [5, 2]]))
    assert losses.shape == [5]
    np.testing.assert_allclose(losses, math.log(V), atol=0.05)


def test_a_padded_tail_changes_nothing():
    model = captioner()
    short, long = batch([[3, 4, 2], [5, 2]]), batch([[3, 4, 2], [5, 2], [6, 7, 8, 9, 2]])
    alone = model.word_losses(short)
    for name in ("input_ids", "target_ids", "mask"):
        long[name] = long[name][:2]
    long["features"] = short["features"]
    np.testing.assert_allclose(model.word_losses(long), alone, rtol=1e-5)


def test_padding_receives_no_gradient():
    model = captioner()
    padded = batch([[3, 4, 2], [5, 2]])
    # The last cell of row 1 is padding; let it hold word 9 as input and word 10 as target.
    padded["input_ids"] = tf.constant([[1, 3, 4], [1, 5, 9]])
    padded["target_ids"] = tf.constant([[3, 4, 2], [5, 2, 10]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.word_losses(padded))
    variables = model.variables
    gradients = dict(zip(variables, tape.gradient(loss, list(variables.values())), strict=True))
    embedding = tf.convert_to_tensor(gradients["decoder/word_embedding"]).numpy()
    assert np.abs(embedding[9]).max() == 0
    assert np.abs(embedding[4]).max() > 0
    bias = gradients["decoder/logits/bias"].numpy()
    probability_sum = 5 * (1 / V)  # what five words' softmax gives word 10 if it is never a target
    np.testing.assert_allclose(bias[10], probability_sum, atol=0.03)


def test_captions_of_one_photograph_share_its_features():
    model = captioner()
    features = np.random.default_rng(1).normal(size=(2, F))
    rows = [[3, 2], [4, 2], [5, 2], [6, 2]]
    shared = model.word_losses(batch(rows, features))
    repeated = model.word_losses(batch(rows, np.repeat(features, 2, axis=0)))
    np.testing.assert_allclose(shared, repeated, rtol=1e-6)


def test_overfits_one_batch():
    model = captioner()
    data = batch([[3, 4, 2], [5, 2], [6, 7, 8, 2]])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.word_losses(data))
        variables = list(model.variables.values())
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(2.0 * tf.convert_to_tensor(gradient))
        return loss

    for _ in range(300):
        loss = step()
    assert float(loss) < 0.02


def test_frozen_encoder_is_no_part_of_training():
    encoder_config = EncoderConfig(backbone="SmallCNN", weights="none", image_size=32, pooling="avg")
    frozen = Captioner(ImageEncoder(encoder_config), ShowAndTellDecoder(CONFIG, V, (128,), seed=0))
    assert all(name.startswith("decoder/") for name in frozen.variables)
    trained_config = EncoderConfig(backbone="SmallCNN", weights="none", image_size=32, trainable=True)
    trained = Captioner(ImageEncoder(trained_config), ShowAndTellDecoder(CONFIG, V, (128,), seed=0))
    assert any(name.startswith("encoder/") for name in trained.trainable_variables)


def test_images_without_an_encoder_are_refused():
    with pytest.raises(ValueError, match="built without an encoder"):
        captioner().features({"images": tf.zeros([1, 8, 8, 3])})
