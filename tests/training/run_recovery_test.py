"""Runs whose folder was damaged, moved, shared or filled between two starts."""

import json
import os
import shutil
import uuid

import fsspec
import pytest
import tensorflow as tf
from fakes import write_dataset

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)
from im2txt.runs import checkpoint_files, run_folder
from im2txt.runs.sample_captions import read_samples
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system.folder_lock import folder_lock
from im2txt.training.training_run import train


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    dataset = write_dataset(tmp_path_factory.mktemp("features"), {"train": 8, "val": 2}, (2,), feature_size=4)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset.data_dir


def experiment(data_dir, epochs=4, **training):
    return ExperimentConfig(
        input=InputConfig(data_dir=data_dir, batch_size=4, shuffle_buffer_examples=10, bucketing_batches=2),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(embedding_size=4, num_lstm_units=4),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="constant"),
        # A checkpoint after each call, as if calls took hours: 4 steps an epoch.
        training=TrainingConfig(
            num_epochs=epochs,
            **{"steps_per_call": 4, "log_every_steps": 4, "checkpoint_every_secs": 1e-9, "sample_images": 0} | training,
        ),
    )


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    train(experiment(data_dir), str(workdir))
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    """A copy of the finished run, elsewhere; its checkpoints are of the steps 8, 12 and 16."""
    shutil.copytree(finished, tmp_path / "run")
    steps = [
        checkpoint_files.step_of(path) for path in checkpoint_files.list_checkpoints(f"{tmp_path}/run/checkpoints")
    ]
    assert steps == [16, 12, 8]
    return tmp_path / "run"


def val_rows(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if row["kind"] == "val"]


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


@pytest.mark.parametrize("note", [None, "", "garbled \x00"])
def test_a_lost_note_of_the_latest_checkpoint_never_restarts_a_run(workdir, data_dir, capsys, note):
    for folder in ("checkpoints", "best"):
        path = workdir / folder / "checkpoint"
        path.unlink()
        if note is not None:
            path.write_text(note)
    train(experiment(data_dir, epochs=5), str(workdir))
    assert "Resuming at step 16 of 20 " in capsys.readouterr().out


def test_a_damaged_latest_checkpoint_gives_way_to_the_one_before_and_the_run_ends_the_same(
    workdir, finished, data_dir, capsys
):
    shutil.rmtree(workdir / "best")
    cut(workdir / "checkpoints" / "ckpt-16.data-00000-of-00001")
    train(experiment(data_dir), str(workdir))
    told = capsys.readouterr()
    assert "Resuming at step 12 of 16 " in told.out
    assert f"Skipped a damaged checkpoint: {workdir}/checkpoints/ckpt-16: " in told.err
    assert val_rows(workdir) == val_rows(finished)
    assert checkpoint_files.damage(f"{workdir}/checkpoints/ckpt-16") == ""  # Written again, whole.


def test_a_run_whose_checkpoints_are_all_damaged_is_not_started_anew(workdir, data_dir):
    before = val_rows(workdir)
    for index in workdir.glob("*/ckpt-*.index"):
        cut(index)
    with pytest.raises(RuntimeError, match=r"None of the \d checkpoint\(s\) is whole: .*or remove them to start anew"):
        train(experiment(data_dir), str(workdir))
    assert val_rows(workdir) == before


def test_a_run_without_any_checkpoint_starts_at_0(workdir, data_dir, capsys):
    for folder in ("checkpoints", "best"):
        shutil.rmtree(workdir / folder)
    train(experiment(data_dir), str(workdir))
    assert "Starting at step 0 of 16 " in capsys.readouterr().out


def test_what_killed_savings_left_is_gone_after_the_next_start(workdir, data_dir):
    (workdir / "checkpoints" / "ckpt-17_temp").mkdir()
    (workdir / "best" / ".tmp-ckpt-9.index").write_bytes(b"half")
    train(experiment(data_dir), str(workdir))
    assert not (workdir / "checkpoints" / "ckpt-17_temp").exists()
    assert not (workdir / "best" / ".tmp-ckpt-9.index").exists()


def test_a_full_disk_ends_the_run_in_one_line_and_the_next_start_goes_on(workdir, finished, data_dir, monkeypatch):
    def full(self, path):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", full)
        with pytest.raises(RuntimeError, match=r"ckpt-20 could not be written: No space left on device.*same command"):
            train(experiment(data_dir, epochs=5), str(workdir))
    assert not list(workdir.glob("*/ckpt-20*"))
    train(experiment(data_dir, epochs=5), str(workdir))
    assert val_rows(workdir)[:-1] == val_rows(finished)
    assert val_rows(workdir)[-1][0] == 20


def test_two_trainings_in_one_folder_are_refused(workdir, data_dir):
    with (
        folder_lock(str(workdir), "--workdir"),
        pytest.raises(RuntimeError, match="Another process is writing into .*, or choose another --workdir"),
    ):
        train(experiment(data_dir), str(workdir))


def test_moved_shards_are_the_run_s_and_their_new_place_is_noted(workdir, data_dir, tmp_path, capsys):
    shutil.copytree(data_dir, tmp_path / "moved")
    train(experiment(f"{tmp_path}/moved/"), str(workdir))
    assert "has finished at step 16 of 16: no step is left" in capsys.readouterr().out
    assert run_folder.read_run_config(str(workdir)).input.data_dir == f"{tmp_path}/moved/"


def test_an_exchanged_encoder_behind_the_features_is_refused_and_nothing_changed(workdir, data_dir, tmp_path):
    folder = tmp_path / "features"
    shutil.copytree(data_dir, folder)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([2.0])}}).write(f"{folder}/encoder")
    kept = [workdir / "encoder" / "weights.data-00000-of-00001", workdir / "config.json"]
    before = [path.read_bytes() for path in kept]
    with pytest.raises(ValueError, match="is not the encoder that the run in"):
        train(experiment(str(folder)), str(workdir))
    assert [path.read_bytes() for path in kept] == before


def test_another_number_type_is_refused_and_nothing_changed(workdir, data_dir):
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(ValueError, match="training.compute_dtype: 'float32' -> 'bfloat16'"):
        train(experiment(data_dir, compute_dtype="bfloat16"), str(workdir))
    assert (workdir / "config.json").read_bytes() == before


class RamFileSystem(fsspec.AbstractFileSystem):
    """TensorFlow's file system in memory, as fsspec sees a store: what one of them writes the other reads."""

    protocol = "ram"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return path

    def exists(self, path, **kwargs):
        return tf.io.gfile.exists(path)

    def info(self, path, **kwargs):
        return {"name": path, "size": tf.io.gfile.stat(path).length, "type": "file"}

    def makedirs(self, path, exist_ok=False):
        tf.io.gfile.makedirs(path)

    def cat_file(self, path, start=None, end=None, **kwargs):
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)  # Opening it to write does not empty it, on this store alone.
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(value)


def test_a_run_on_a_remote_store_is_trained_resumed_and_loaded(data_dir, finished, monkeypatch, tmp_path, capsys):
    fsspec.register_implementation("ram", RamFileSystem, clobber=True)
    monkeypatch.chdir(tmp_path)
    workdir = f"ram://{uuid.uuid4()}/runs/one"
    train(experiment(data_dir, epochs=2, sample_images=2), workdir)
    train(experiment(data_dir, sample_images=2), workdir)
    assert "Resuming at step 8 of 16 " in capsys.readouterr().out
    with tf.io.gfile.GFile(f"{workdir}/metrics.jsonl") as file:
        rows = [json.loads(line) for line in file.read().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows if row["kind"] == "val"] == val_rows(finished)
    loaded = run_folder.load_run(workdir, ShardFolder.open(data_dir).manifest)
    assert loaded.config == experiment(data_dir, sample_images=2)
    assert list(read_samples(workdir)) == [4, 8, 12, 16]
    assert loaded.step == min(val_rows(finished), key=lambda row: row[1])[0]
    assert os.listdir(tmp_path) == []  # No local folder named `ram:`.


def test_a_store_that_tensorflow_does_not_know_is_refused(data_dir, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"--workdir=memory://run: TensorFlow cannot write checkpoints to memory://, only"
    ):
        train(experiment(data_dir), "memory://run")
    assert os.listdir(tmp_path) == []
