"""Variables by stable name: what fits is restored, what does not is refused."""

import pytest
import tensorflow as tf

from im2txt.runs import checkpoint_files, checkpoints


def variables(**shapes):
    return {name.replace("__", "/"): tf.Variable(tf.fill(shape, 3.0)) for name, shape in shapes.items()}


def test_written_variables_come_back(tmp_path):
    path = str(tmp_path / "weights")
    checkpoints.write_variables(path, variables(conv__kernel=[2, 3], conv__bias=[3]))
    read = {name: tf.Variable(tf.zeros_like(v)) for name, v in variables(conv__kernel=[2, 3], conv__bias=[3]).items()}
    checkpoints.read_variables(path, read)
    assert all(float(tf.reduce_min(v)) == 3.0 for v in read.values())


@pytest.mark.parametrize(
    "asked", [{"conv__kernel": [2, 4]}, {"conv__kernel": [2, 3], "other": [1]}, {"conv__gamma": [2, 3]}, {}]
)
def test_other_names_or_shapes_are_refused(tmp_path, asked):
    path = str(tmp_path / "weights")
    checkpoints.write_variables(path, variables(conv__kernel=[2, 3]))
    with pytest.raises(ValueError, match="does not fit this model"):
        checkpoints.read_variables(path, variables(**asked))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"weights\.index"):
        checkpoints.read_variables(str(tmp_path / "weights"), variables(a=[1]))
    with pytest.raises(FileNotFoundError, match=r"No checkpoint in .*im2txt\.train"):
        checkpoints.find_checkpoint(str(tmp_path))


def test_a_damaged_file_is_refused(tmp_path):
    path = str(tmp_path / "weights")
    checkpoints.write_variables(path, variables(kernel=[50, 50]))
    data = tmp_path / "weights.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"weights is damaged: Read less bytes.* Restore it from a copy"):
        checkpoints.read_variables(path, variables(kernel=[50, 50]))


def harm(path):
    with open(f"{path}.index", "wb"):
        pass


def test_a_damaged_best_checkpoint_gives_way_to_the_latest_and_both_to_an_error(tmp_path, capsys):
    model = variables(kernel=[2])
    checkpoints.write_best(str(tmp_path), model, 7)
    checkpoint_files.save_numbered(str(tmp_path / "checkpoints"), 9, 3, checkpoints.named("model", model))
    assert checkpoints.find_checkpoint(str(tmp_path)) == f"{tmp_path}/best/ckpt-7"
    assert checkpoints.find_newest(str(tmp_path)) == f"{tmp_path}/checkpoints/ckpt-9"
    assert capsys.readouterr().err == ""
    harm(tmp_path / "best/ckpt-7")
    assert checkpoints.find_checkpoint(str(tmp_path)) == f"{tmp_path}/checkpoints/ckpt-9"
    assert f"Skipped a damaged checkpoint: {tmp_path}/best/ckpt-7: " in capsys.readouterr().err
    harm(tmp_path / "checkpoints/ckpt-9")
    for find in (checkpoints.find_checkpoint, checkpoints.find_newest):
        with pytest.raises(RuntimeError, match="None of the 2 checkpoint"):
            find(str(tmp_path))


def test_a_run_whose_latest_checkpoints_are_gone_goes_on_from_its_best(tmp_path):
    checkpoints.write_best(str(tmp_path), variables(kernel=[2]), 7)
    assert checkpoints.find_newest(str(tmp_path)) == f"{tmp_path}/best/ckpt-7"
    assert checkpoints.find_newest(str(tmp_path / "none")) is None


def test_the_step_of_a_checkpoint_comes_back_with_its_model(tmp_path):
    checkpoints.write_best(str(tmp_path), variables(kernel=[2]), 7)
    model = {"kernel": tf.Variable([0.0, 0.0])}
    assert checkpoints.restore_model(f"{tmp_path}/best/ckpt-7", model) == 7
    assert model["kernel"].numpy().tolist() == [3.0, 3.0]
