"""The model for TensorFlow Lite against the SavedModel it was made of."""

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run

from im2txt.inference.saved_model import write_saved_model
from im2txt.inference.tflite_model import write_tflite


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export") / "captioner")
    write_saved_model(random_run(), folder, "a run")
    return folder


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_pixels_get_the_same_words(exported):
    path = write_tflite(exported)
    assert path == f"{exported}/captioner.tflite"
    # An interpreter that knows no operator of TensorFlow's own.
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = tf.lite.Interpreter(path, experimental_op_resolver_type=resolver).get_signature_runner()
    from_images = tf.saved_model.load(exported).signatures["from_images"]
    words = set()
    for seed, size in enumerate([(32, 32), (32, 32), (50, 70)]):
        images = np.random.default_rng(seed).uniform(0, 1, (2, *size, 3)).astype(np.float32)
        found, expected = run(images=images), from_images(images=tf.constant(images))
        assert found.keys() == expected.keys() - {"captions"}
        for name in ("word_ids", "lengths"):
            np.testing.assert_array_equal(found[name], expected[name])
        for name in ("log_probs", "scores", "word_log_probs"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
        words |= {tuple(ids) for ids in found["word_ids"][:, 0]}
    assert len(words) > 1


def test_what_tensorflow_lite_lacks_is_named(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")])
        def from_images(self, images):
            return {"captions": tf.constant(["a"]), "word_ids": tf.math.erfinv(images)}

    module = Module()
    folder = str(tmp_path / "model")
    tf.saved_model.save(module, folder, {"from_images": module.from_images})
    with pytest.raises(RuntimeError, match="TensorFlow Lite has no Erfinv, which this model needs; the SavedModel in "):
        write_tflite(folder)
    assert not (tmp_path / "model" / "captioner.tflite").exists()
