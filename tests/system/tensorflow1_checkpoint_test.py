"""Checkpoint files of TensorFlow 1, written by its own Saver: what is read, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from im2txt.system.tensorflow1_checkpoint import Tensorflow1Checkpoint, write_tensorflow1_checkpoint

VALUES = {
    "scope/weights": np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32),
    "scope/biases": np.arange(5, dtype=np.float32),
    "global_step": np.array(123, np.int32),
}


def save(path, version=tf.compat.v1.train.SaverDef.V2, values=VALUES):
    """Saves with a Saver of TensorFlow 1, step 7."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in values.items():
            tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver(write_version=version).save(session, str(path), global_step=7)


@pytest.mark.parametrize("version", [tf.compat.v1.train.SaverDef.V1, tf.compat.v1.train.SaverDef.V2])
def test_both_formats_are_read_by_name(tmp_path, version):
    checkpoint = Tensorflow1Checkpoint(save(tmp_path / "model.ckpt", version))
    assert checkpoint.shapes == {name: value.shape for name, value in VALUES.items()}
    for name, value in VALUES.items():
        np.testing.assert_array_equal(checkpoint.read(name, value.shape), value)


def test_a_checkpoint_is_found_by_any_of_its_files_and_by_its_folder(tmp_path):
    path = save(tmp_path / "model.ckpt")
    for name in (path, f"{path}.index", f"{path}.meta", f"{path}.data-00000-of-00001", str(tmp_path)):
        assert Tensorflow1Checkpoint(name).path == path


def test_what_is_written_is_restored_by_a_saver_of_tensorflow_1(tmp_path):
    path = str(tmp_path / "new" / "model.ckpt-9")
    write_tensorflow1_checkpoint(path, VALUES)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "model.ckpt-9.data-00000-of-00001",
        "model.ckpt-9.index",
    ]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {
            name: tf.compat.v1.get_variable(name, initializer=np.zeros_like(value), use_resource=False)
            for name, value in VALUES.items()
        }
        tf.compat.v1.train.Saver().restore(session, path)
        for name, value in session.run(variables).items():
            np.testing.assert_array_equal(value, VALUES[name])


def test_a_missing_or_misshapen_variable_is_named_with_both_shapes(tmp_path):
    checkpoint = Tensorflow1Checkpoint(save(tmp_path / "model.ckpt"))
    with pytest.raises(
        ValueError, match=r"has no variable 'scope/gamma' \(wanted: \[3\]\).*holds global_step, scope/\*"
    ):
        checkpoint.read("scope/gamma", (3,))
    with pytest.raises(ValueError, match=r"'scope/weights' of .* has shape \[40, 50\]; this model wants \[50, 40\]"):
        checkpoint.read("scope/weights", (50, 40))


def test_values_that_are_not_finite_are_refused(tmp_path):
    values = {"w": np.array([1.0, np.nan], np.float32)}
    with pytest.raises(ValueError, match="'w' of .* holds values that are no finite numbers"):
        Tensorflow1Checkpoint(save(tmp_path / "model.ckpt", values=values)).read("w", (2,))


@pytest.mark.parametrize("version", [tf.compat.v1.train.SaverDef.V1, tf.compat.v1.train.SaverDef.V2])
def test_a_file_cut_short_is_refused(tmp_path, version):
    path = save(tmp_path / "model.ckpt", version)
    files = [file for file in tmp_path.iterdir() if file.name.endswith("-7") or ".data-" in file.name]
    assert len(files) == 1
    files[0].write_bytes(files[0].read_bytes()[:3000])
    with pytest.raises(ValueError, match="cut short"):
        Tensorflow1Checkpoint(path).read("scope/weights", (40, 50))


def test_an_index_without_its_data_is_refused(tmp_path):
    path = save(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt-7.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"index is there without its .*data-00000-of-00001"):
        Tensorflow1Checkpoint(path)


def test_what_is_no_checkpoint_of_tensorflow_1_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No checkpoint .*model\.ckpt: neither that file .* nor .*\.index"):
        Tensorflow1Checkpoint(str(tmp_path / "model.ckpt"))
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        Tensorflow1Checkpoint(str(tmp_path))
    (tmp_path / "text.ckpt").write_text("a 969108\n" * 1000)
    with pytest.raises(ValueError, match=r"text\.ckpt is no checkpoint of TensorFlow"):
        Tensorflow1Checkpoint(str(tmp_path / "text.ckpt"))
    tf.train.Checkpoint(weights=tf.Variable([1.0])).write(str(tmp_path / "tensorflow2"))
    with pytest.raises(ValueError, match="is a checkpoint of TensorFlow 2.*--workdir"):
        Tensorflow1Checkpoint(str(tmp_path / "tensorflow2"))
