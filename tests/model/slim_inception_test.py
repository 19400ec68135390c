"""Slim's Inception v3 against Keras's: the same weights by name give the same features."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow1_im2txt import inception_v3

from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.system.tensorflow1_checkpoint import write_tensorflow1_checkpoint

v1 = tf.compat.v1
SIZE = 107  # Small, and its last map is still 2 x 2.
CLASSIFIERS = {  # Slim's file holds them beside the network.
    "InceptionV3/AuxLogits/Conv2d_2b_1x1/weights": (1, 1, 768, 1001),
    "InceptionV3/Logits/Conv2d_1c_1x1/biases": (1001,),
}


def encoder(weights, **fields):
    defaults = {"backbone": "InceptionV3", "image_size": SIZE, "pooling": "flatten"}
    return ImageEncoder(EncoderConfig(weights=str(weights), **(defaults | fields)))


@pytest.fixture(scope="module")
def slim(tmp_path_factory):
    """A checkpoint as slim's, in the older format, its values, photographs and the maps it makes of them."""
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3)).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        maps = inception_v3(tf.constant(images) * 2 - 1)
        for name, shape in CLASSIFIERS.items():
            v1.get_variable(name, shape)
        session.run(v1.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in v1.global_variables()})
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1)
        path = saver.save(session, str(tmp_path_factory.mktemp("slim") / "inception_v3.ckpt"), write_meta_graph=False)
        return types.SimpleNamespace(path=path, values=values, images=images, maps=session.run(maps))


def test_the_features_are_those_of_slim_whatever_keras_built_before(slim):
    for _ in range(2):  # The second network's layers bear other numbers.
        network = encoder(slim.path)
        features = network(tf.constant(slim.images)).numpy()
        np.testing.assert_allclose(features, slim.maps.reshape(2, -1), atol=2e-5)
    of_slim = {name: value for name, value in slim.values.items() if name not in CLASSIFIERS}
    variables = network.slim_variables()
    assert len(of_slim) == 376
    assert sum(value.size for value in of_slim.values()) == 21_802_784
    assert variables.keys() == of_slim.keys()
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, of_slim[name], err_msg=name)


def test_moving_averages_decay_as_in_slim(slim):
    trained = encoder(slim.path, trainable=True, update_batch_norm=True)
    name = "InceptionV3/Conv2d_1a_3x3"
    kernel, mean = (slim.values[f"{name}/{leaf}"] for leaf in ("weights", "BatchNorm/moving_mean"))
    trained(tf.constant(slim.images), training=True)
    batch_mean = tf.nn.conv2d(slim.images * 2 - 1, kernel, 2, "VALID").numpy().mean((0, 1, 2))
    moved = trained.slim_variables()[f"{name}/BatchNorm/moving_mean"]
    np.testing.assert_allclose(moved, mean * 0.9997 + batch_mean * 0.0003, atol=1e-6)


def test_a_variable_that_is_missing_or_misshapen_is_named(slim, tmp_path):
    path = str(tmp_path / "other.ckpt")
    name = "InceptionV3/Mixed_7c/Branch_1/Conv2d_0c_3x1/weights"
    for value, told in ((None, f"no variable '{name}'"), (np.zeros([1, 3, 384, 384]), f"'{name}' .*1, 3, .*3, 1, ")):
        values = slim.values | {name: value}
        write_tensorflow1_checkpoint(path, {n: np.float32(v) for n, v in values.items() if v is not None})
        with pytest.raises(ValueError, match=told):
            encoder(path)


def test_only_inception_v3_reads_slim_s_checkpoint(slim, tmp_path):
    with pytest.raises(ValueError, match=r"a checkpoint of TensorFlow 1; .*InceptionV3.*, not MobileNetV2"):
        encoder(slim.path, backbone="MobileNetV2")
    with pytest.raises(FileNotFoundError, match=r"encoder\.weights='.*nothing\.ckpt' is no file"):
        encoder(tmp_path / "nothing.ckpt")
    (tmp_path / "text.ckpt").write_text("no weights at all")
    with pytest.raises(ValueError, match=r"text\.ckpt is no checkpoint"):
        encoder(tmp_path / "text.ckpt")
