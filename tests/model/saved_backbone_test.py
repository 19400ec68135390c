"""Saved Keras models as encoders: what is read from the file, what is refused, and that their code is never run."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.system import storage


def images(count=2, size=12):
    return tf.constant(np.random.default_rng(0).random((count, size, size, 3)), tf.float32)


def network(size=12, seed=1):
    """Rescaling, and two models within the model: layer names come twice."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 51, offset=-2.5)(inputs)
    for channels in (4, 5):
        inner = keras.Input((None, None, x.shape[-1]))
        y = keras.layers.Conv2D(channels, 3, strides=2, padding="same", name="conv")(inner)
        x = keras.Model(inner, keras.layers.BatchNormalization(name="norm")(y))(x)
    return keras.Model(inputs, x)


def save(model, path):
    model.save(path)
    return str(path)


def encoder(path, **fields):
    return ImageEncoder(EncoderConfig(backbone=str(path), **fields))


def test_size_and_output_are_the_file_s_and_it_sees_bytes(tmp_path):
    model = network()
    path = save(model, tmp_path / "net.keras")
    maps = model(images() * 255).numpy()
    assert maps.shape == (2, 3, 3, 5)
    for pooling, expected in {
        "avg": maps.mean((1, 2)),
        "max": maps.max((1, 2)),
        "flatten": maps.reshape(2, -1),
        "grid": maps.reshape(2, 9, 5),
    }.items():
        loaded = encoder(path, pooling=pooling)
        assert (loaded.image_size, loaded.image_format.image_size) == (12, 12)
        assert loaded.feature_shape == expected.shape[1:]
        np.testing.assert_allclose(loaded(images()), expected, rtol=1e-4, atol=1e-5)


def test_an_open_size_is_the_configuration_s(tmp_path):
    model = network(size=None)
    path = save(model, tmp_path / "net.keras")
    loaded = encoder(path, image_size=20)
    assert loaded.image_size == 20
    np.testing.assert_allclose(
        loaded(images(2, 20)), model(images(2, 20) * 255).numpy().mean((1, 2)), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match=r"takes photographs of any size; set encoder.image_size\.$"):
        encoder(path)


def test_a_vector_is_what_it_is_and_no_grid(tmp_path):
    model = network()
    vector = keras.Model(model.input, keras.layers.Flatten()(model.output))
    path = save(vector, tmp_path / "net.keras")
    np.testing.assert_allclose(encoder(path)(images()), vector(images() * 255), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"gives a vector \[45\], and encoder.pooling=grid needs a feature map"):
        encoder(path, pooling="grid")


def test_all_weights_have_names_of_their_own(tmp_path):
    path = save(network(), tmp_path / "net.keras")
    first, again = encoder(path), encoder(path)
    assert len(first.variables) == 2 * (2 + 4)
    assert {v.ref() for v in first.variables.values()} == {w.value.ref() for w in first._network.weights}
    assert list(first.variables) == list(again.variables)
    assert first.fingerprint() == again.fingerprint()


def test_the_fingerprint_is_also_of_what_has_no_weights(tmp_path):
    model = network()
    path = save(model, tmp_path / "net.keras")
    other = keras.models.clone_model(model, clone_function=lambda layer: _brighter(layer))
    other.set_weights(model.get_weights())
    other_path = save(other, tmp_path / "other.keras")
    first, second = encoder(path), encoder(other_path)
    for name, value in first.variables.items():
        np.testing.assert_array_equal(value, second.variables[name])
    assert first.fingerprint() != second.fingerprint()


def _brighter(layer):
    if isinstance(layer, keras.layers.Rescaling):
        return keras.layers.Rescaling(1 / 255, name=layer.name)
    return layer.__class__.from_config(layer.get_config())


def test_what_the_file_froze_is_trained_where_that_is_asked_for(tmp_path):
    model = network()
    model.trainable = False
    path = save(model, tmp_path / "net.keras")
    assert encoder(path).trainable_variables == []
    assert len(encoder(path, trainable=True).trainable_variables) == 2 * (2 + 2)


def test_a_file_elsewhere_is_read_through_the_storage(tmp_path):
    path = save(network(), tmp_path / "net.keras")
    with open(path, "rb") as file:
        storage.write_bytes("memory://nets/net.keras", file.read())
    remote = encoder("memory://nets/net.keras")
    np.testing.assert_array_equal(remote(images()), encoder(path)(images()))
    assert remote.fingerprint() == encoder(path).fingerprint()


@keras.saving.register_keras_serializable("tests")
class Registered(keras.layers.Layer):
    """Known to Keras here, and nowhere else."""

    def call(self, x):
        return x


def refusals(tmp_path):
    """Models that cannot be encoders, and what is said of each."""
    inputs = keras.Input((12, 12, 3))
    grey, oblong, unknown = keras.Input((12, 12, 1)), keras.Input((12, 8, 3)), keras.Input((12, 12, 3))
    conv = keras.layers.Conv2D(2, 3)
    yield keras.Model(grey, keras.layers.Conv2D(2, 3)(grey)), r"it takes \[\(None, 12, 12, 1\)\], not photographs"
    yield keras.Model(oblong, keras.layers.Conv2D(2, 3)(oblong)), r"it takes .*12, 8, 3\)\], not photographs"
    yield keras.Model([inputs, grey], [conv(inputs)]), "it takes .*not photographs"
    yield keras.Model(inputs, [conv(inputs), inputs]), "it gives .*neither a feature map"
    yield (
        keras.Model(inputs, keras.layers.Reshape((4, -1))(inputs)),
        r"it gives \(None, 4, 108\), neither a feature m",
    )
    yield (
        keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)),
        "Lambda layer, whose code is never run; ",
    )
    yield keras.Model(unknown, Registered()(unknown)), "cannot be loaded as a saved Keras model: .*Registered"


def test_models_that_are_no_encoders_are_refused_in_one_line(tmp_path, monkeypatch):
    cases = [(save(model, tmp_path / f"{i}.keras"), told) for i, (model, told) in enumerate(refusals(tmp_path))]
    monkeypatch.setattr("keras.src.saving.object_registration.GLOBAL_CUSTOM_OBJECTS", {})
    for path, told in cases:
        with pytest.raises(ValueError, match=f"^encoder.backbone='{path}' .*{told}") as error:
            encoder(path)
        assert "\n" not in str(error.value)


def test_files_that_are_no_models_are_refused(tmp_path):
    garbage = tmp_path / "garbage.keras"
    garbage.write_bytes(b"no model at all")
    other_zip = tmp_path / "other.keras"
    with zipfile.ZipFile(other_zip, "w") as archive:
        archive.writestr("a.txt", "a")
    cut = tmp_path / "cut.keras"
    with open(save(network(), tmp_path / "net.keras"), "rb") as file:
        cut.write_bytes(file.read()[:-100])
    for path in (garbage, other_zip, cut):
        with pytest.raises(ValueError, match=f"^encoder.backbone='{path}' cannot be loaded as a saved Keras model"):
            encoder(path)
    with pytest.raises(FileNotFoundError, match=r"encoder.backbone='.*none.keras' is no file\. Name a saved Keras m"):
        encoder(tmp_path / "none.keras")


def test_sizes_and_weights_that_are_not_the_file_s_are_refused(tmp_path):
    path = save(network(), tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"takes photographs of 12 pixels, and encoder.image_size=16; leave it at 0"):
        encoder(path, image_size=16)
    with pytest.raises(ValueError, match="encoder.weights='w.h5': a saved model has weights of its own"):
        encoder(path, weights="w.h5")
