"""Tests of the encoders: the backbones' own value ranges and sizes, their weights, and what training may change."""

import hashlib
import inspect
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import _FAMILY_BY_BACKBONE, ImageEncoder, backbone_image_size

OF_KERAS = sorted(
    name
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and "include_top" in inspect.signature(build).parameters
)


def random_images(count, size):
    return tf.constant(np.random.default_rng(0).random((count, size, size, 3)), tf.float32)


def encoder(backbone="SmallCNN", image_size=32, weights="none", **fields):
    return ImageEncoder(EncoderConfig(backbone=backbone, image_size=image_size, weights=str(weights), **fields))


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory):
    """A weight file of SmallCNN with random normalisation too, and the values in it by layer and weight."""
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    keras.utils.set_random_seed(3)
    network = encoder()._network
    for weight in network.weights:
        weight.assign(np.random.default_rng(len(weight.path)).normal(0.2, 0.3, weight.shape))
    backbone = keras.Model(network.input, network.get_layer("relu_3").output)
    backbone.save_weights(path)
    return path, {weight.path: weight.numpy() for weight in network.weights}


@pytest.fixture(scope="module")
def mobile_weights(tmp_path_factory):
    """A weight file of MobileNetV2, and the network."""
    path = tmp_path_factory.mktemp("weights") / "mobile.weights.h5"
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    network.save_weights(path)
    return path, network


def test_every_network_of_keras_applications_is_there():
    assert {*OF_KERAS, "SmallCNN"} == set(_FAMILY_BY_BACKBONE)


@pytest.mark.parametrize("name", OF_KERAS)
def test_scaling_is_what_keras_applications_does_to_bytes(name):
    images = random_images(2, 5)
    expected = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(images.numpy() * 255)
    scaled = _FAMILY_BY_BACKBONE[name].scale(images)
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=2e-5 * np.abs(expected).max())


# MobileNetV3 is built for any size by default; it was trained on 224 pixels.
@pytest.mark.parametrize("name", [name for name in OF_KERAS if not name.startswith("MobileNetV3")])
def test_image_size_is_the_backbone_s_own_unless_given(monkeypatch, name):
    sizes = []

    def obtain_input_shape(input_shape, default_size, **unused):
        sizes.append(default_size)
        raise InterruptedError

    build = getattr(keras.applications, name)
    module = sys.modules[build.__module__]
    monkeypatch.setattr(module.imagenet_utils, "obtain_input_shape", obtain_input_shape)
    with pytest.raises(InterruptedError):
        build(weights=None)
    assert [backbone_image_size(EncoderConfig(backbone=name))] == sizes
    assert backbone_image_size(EncoderConfig(backbone=name, image_size=77)) == 77


@pytest.mark.parametrize(
    ("backbone", "image_size", "pooling", "feature_shape"),
    [
        ("SmallCNN", 32, "avg", (128,)),
        ("SmallCNN", 47, "flatten", (2 * 2 * 128,)),
        ("MobileNetV2", 64, "max", (1280,)),
        ("MobileNetV2", 64, "flatten", (2 * 2 * 1280,)),
        ("InceptionV3", 107, "flatten", (2 * 2 * 2048,)),
        ("SmallCNN", 50, "grid", (9, 128)),
        ("MobileNetV2", 64, "grid", (4, 1280)),
    ],
)
def test_features_have_the_shape_of_backbone_and_pooling(backbone, image_size, pooling, feature_shape):
    network = encoder(backbone, image_size, pooling=pooling)
    assert (network.image_size, network.feature_shape) == (image_size, feature_shape)
    features = network(random_images(2, image_size))
    assert features.dtype == tf.float32
    assert features.shape == (2, *feature_shape)


def convolve(x, kernel):
    """Zeros around the picture keep its size."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    patches = [[padded[i : i + 3, j : j + 3] for j in range(len(x))] for i in range(len(x))]
    return np.einsum("ijabc,abco->ijo", np.array(patches), kernel)


def test_small_cnn_is_what_it_says_it_is(small_weights):
    path, values = small_weights
    images = random_images(2, 32)
    expected = []
    for image in images.numpy().astype(np.float64):
        x = image * 2 - 1
        for i in range(4):
            x = convolve(x, values[f"conv_{i}/kernel"])
            x = x.reshape(len(x) // 2, 2, len(x) // 2, 2, -1).max((1, 3))
            groups = x.reshape(*x.shape[:2], 8, -1)
            mean, variance = groups.mean(axis=(0, 1, 3), keepdims=True), groups.var(axis=(0, 1, 3), keepdims=True)
            x = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
            x = np.maximum(x * values[f"norm_{i}/gamma"] + values[f"norm_{i}/beta"], 0)
        expected.append(x)
    maps = np.array(expected)  # [2, 2, 2, 128]
    rows = [maps[:, i, j] for i in range(2) for j in range(2)]
    for pooling, pooled in {
        "avg": maps.mean((1, 2)),
        "max": maps.max((1, 2)),
        "flatten": maps.reshape(2, -1),
        "grid": np.stack(rows, axis=1),
    }.items():
        features = encoder(weights=path, pooling=pooling)(images)
        np.testing.assert_allclose(features, pooled, rtol=1e-3, atol=1e-4)


def test_a_weight_file_of_keras_gives_its_network_s_features(mobile_weights):
    path, network = mobile_weights
    images = random_images(2, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        features = encoder("MobileNetV2", weights=path, pooling="flatten")(images)
    np.testing.assert_allclose(features, np.reshape(network(images * 2 - 1), (2, -1)), rtol=1e-5, atol=1e-6)


def test_a_weight_file_that_does_not_fit_is_refused_in_one_line(small_weights, mobile_weights, tmp_path, recwarn):
    garbage = tmp_path / "garbage.weights.h5"
    garbage.write_bytes(b"no weights at all")
    for backbone, path in [
        ("SmallCNN", mobile_weights[0]),
        ("MobileNetV2", small_weights[0]),
        ("VGG16", mobile_weights[0]),
        ("SmallCNN", garbage),
        ("MobileNetV2", garbage),
    ]:
        with pytest.raises(ValueError, match=f"^encoder.backbone='{backbone}' cannot be built with ") as error:
            encoder(backbone, weights=path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


def test_a_weight_file_that_is_not_there_is_refused_with_the_choices(tmp_path):
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"encoder.weights='{path}' is no file.*`imagenet`.*`none`"):
            encoder("MobileNetV2", weights=path)
    with pytest.raises(ValueError, match="SmallCNN has none; use encoder.weights=none"):
        encoder(weights="imagenet")


def test_an_image_size_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="encoder.backbone='SmallCNN' cannot .* image_size of 15: "):
        encoder(image_size=15)
    with pytest.raises(ValueError, match="encoder.backbone='InceptionV3' cannot .* image_size of 20: .*at least 75"):
        encoder("InceptionV3", 20)


def test_a_download_that_fails_is_an_error_of_the_weights(monkeypatch):
    def fail(**unused):
        raise Exception("URL fetch failure on https://nowhere: name unknown\nmore")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(ValueError, match="encoder.weights='imagenet' .*: URL fetch failure .*: name unknown$"):
        encoder("VGG19", weights="imagenet")


def test_an_unknown_backbone_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="encoder.backbone='Inception_v3' is unknown. Did you mean InceptionV3"):
        encoder("Inception_v3")
    with pytest.raises(ValueError, match="encoder.backbone='zzz' is unknown. There are ConvNeXtBase, .*, Xception"):
        backbone_image_size(EncoderConfig(backbone="zzz"))


def test_names_are_unique_and_the_same_for_every_build():
    # Its normalisation layer has no name of its own, and its dropout layers bear the state of a random generator.
    first, second = (encoder("EfficientNetB0") for _ in range(2))
    assert list(first.variables) == list(second.variables)
    assert len(first.variables) == len(first._network.weights)
    assert {name: v.shape for name, v in first.variables.items()} == {n: v.shape for n, v in second.variables.items()}
    for name, variable in second.variables.items():
        variable.assign(first.variables[name])
    assert first.fingerprint() == second.fingerprint()


def test_the_fingerprint_is_of_all_names_and_values(small_weights):
    network, twin = (encoder(weights=small_weights[0]) for _ in range(2))
    digest = hashlib.sha256()
    for name, variable in network.variables.items():
        digest.update(name.encode() + np.array(variable).astype("<f4").tobytes())
    assert network.fingerprint() == twin.fingerprint() == digest.hexdigest()
    seen = {network.fingerprint()}
    for variable in network.variables.values():
        value = variable.numpy().copy()
        value.flat[-1] = np.nextafter(value.flat[-1], np.inf)
        variable.assign(value)
        seen.add(network.fingerprint())
    assert len(seen) == len(network.variables) + 1


def moving_statistics(network):
    return {name: v.numpy() for name, v in network.variables.items() if "moving" in name}


@pytest.mark.parametrize(
    ("trainable", "update_batch_norm", "training", "moves"),
    [
        (False, False, True, False),
        (True, False, True, False),
        (True, True, False, False),
        (True, True, True, True),
    ],
)
def test_batch_statistics_stay_unless_asked_for_in_training(
    mobile_weights, trainable, update_batch_norm, training, moves
):
    network = encoder(
        "MobileNetV2", weights=mobile_weights[0], trainable=trainable, update_batch_norm=update_batch_norm
    )
    images = random_images(4, 32)
    before = moving_statistics(network)
    still = network(images).numpy()
    features = network(images, training=training)
    after = moving_statistics(network)
    assert len(before) == 2 * 52  # Mean and variance of each of the network's normalisations.
    assert any(np.any(before[name] != after[name]) for name in before) == moves
    assert np.allclose(features, still) == (not moves)


def test_the_configured_momentum_weighs_old_statistics(mobile_weights):
    weights = mobile_weights[0]
    changes = []
    for momentum in (0.5, 0.75):
        network = encoder(
            "MobileNetV2", weights=weights, trainable=True, update_batch_norm=True, batch_norm_momentum=momentum
        )
        name = next(name for name in network.variables if name.endswith("moving_variance"))
        before = network.variables[name].numpy()
        network(random_images(4, 32), training=True)
        changes.append(network.variables[name].numpy() - before)
    np.testing.assert_allclose(changes[0], 2 * changes[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("backbone", ["SmallCNN", "MobileNetV2"])
def test_bfloat16_layers_give_float32_features_of_float32_weights(backbone, small_weights, mobile_weights):
    weights = {"SmallCNN": small_weights, "MobileNetV2": mobile_weights}[backbone][0]
    full, half = (encoder(backbone, weights=weights, compute_dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert all(variable.dtype == tf.float32 for variable in half.variables.values())
    assert half.fingerprint() == full.fingerprint()
    expected, features = full(random_images(4, 32)).numpy(), half(random_images(4, 32)).numpy()
    assert features.dtype == np.float32
    deviation = np.abs(features - expected).max() / np.abs(expected).max()
    assert 1e-5 < deviation < 2**-5  # Eight bits of mantissa, over some layers.


def test_only_a_trained_encoder_has_weights_to_train():
    assert encoder().trainable_variables == []
    trained = encoder(trainable=True)
    named = {v.ref() for v in trained.variables.values()}
    assert {v.ref() for v in trained.trainable_variables} == named  # SmallCNN has no moving statistics.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(trained(random_images(2, 32), training=True) ** 2)
    for gradient in tape.gradient(loss, trained.trainable_variables):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0
    mobile = encoder("MobileNetV2", trainable=True)
    frozen = len(mobile.variables) - len(mobile.trainable_variables)
    assert frozen == 2 * 52
