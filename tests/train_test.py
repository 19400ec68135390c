"""What `im2txt.train` says of bad input, in one line that says what to do: workers, shapes, folders, checkpoints."""

import importlib
import json
import os
import re
import shutil
import socket
import sys

import pytest
import tensorflow as tf
from fakes import VOCABULARY, write_dataset

from im2txt.system import command_line
from im2txt.text.vocabulary import Vocabulary
from im2txt.training.supervisor import free_addresses


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    dataset = write_dataset(tmp_path_factory.mktemp("features"), {"train": 5, "val": 2}, (1,), feature_size=4)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset.data_dir


@pytest.fixture
def refused(data_dir, tmp_path, monkeypatch, capsys):
    """Starts a training that must be refused, returns its one line, and sees that no folder was made."""

    def run(*flags, tf_config=None):
        workdir = tmp_path / "run"
        common = ["--config=flickr8k", "--config.encoder.backbone=SmallCNN", "--config.encoder.weights=none"]
        common += ["--config.encoder.crop_fraction=1.0", f"--config.input.data_dir={data_dir}", f"--workdir={workdir}"]
        monkeypatch.setattr(sys, "argv", ["im2txt.train", *common, *flags])
        monkeypatch.delenv("BUILD_WORKING_DIRECTORY", raising=False)
        monkeypatch.delenv("SLURM_PROCID", raising=False)
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if tf_config:
            monkeypatch.setenv("TF_CONFIG", tf_config)
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command_line.run(importlib.import_module("im2txt.train").main)
        *before, last = capsys.readouterr().err.splitlines()
        assert (stop.value.code, before) == (1, [])
        assert last.startswith("error: ")
        return last.removeprefix("error: ")

    yield run
    assert not (tmp_path / "run").exists()


def cluster(addresses, index=0):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


MULTI_WORKER = "--config.training.distribution=multi_worker"


def test_a_global_batch_that_workers_or_replicas_cannot_share(refused):
    told = "input.batch_size=5 must be a multiple of the 2 replicas, whose batches are parts of it."
    mirrored = ("--config.training.distribution=mirrored", "--config.training.logical_devices=2")
    assert refused(*mirrored, "--config.input.batch_size=5") == told
    assert refused(MULTI_WORKER, "--config.input.batch_size=5", tf_config=cluster(["a:1", "b:1"])) == told


def test_fewer_examples_than_workers(refused, data_dir):
    six = cluster([f"host{index}:2222" for index in range(6)])
    line = refused(MULTI_WORKER, "--config.input.batch_size=6", tf_config=six)
    assert line == f"Split 'train' of {data_dir} holds 5 examples, too few for 6 worker(s)."


def test_a_malformed_tf_config(refused):
    assert refused(MULTI_WORKER, tf_config="{").startswith("TF_CONFIG='{': is no JSON (")
    assert refused(MULTI_WORKER).startswith("training.distribution=multi_worker needs TF_CONFIG in the environment")


def test_a_cluster_that_the_configuration_would_not_use(refused):
    line = refused(tf_config=cluster(["a:1", "b:1"]))
    assert line.startswith("TF_CONFIG names 2 workers, and training.distribution=one_device is for one. Give --config.")


def test_a_worker_that_never_comes(refused):
    addresses = free_addresses(2)
    flags = (MULTI_WORKER, "--config.input.batch_size=4", "--config.training.start_deadline_secs=0.2")
    line = refused(*flags, tf_config=cluster(addresses, 1))
    assert line.startswith(f"Worker 1 has waited 0.2 s for worker(s) 0 at {addresses[0]}. Start all workers at about")


def test_a_port_that_another_process_holds(refused):
    with socket.create_server(("127.0.0.1", 0)) as held:
        own = f"127.0.0.1:{held.getsockname()[1]}"
        line = refused(MULTI_WORKER, "--config.input.batch_size=4", tf_config=cluster([own, "127.0.0.1:9"]))
    assert line.startswith(f"This worker's address is {own}, and the port cannot be had: ")


FLAGS = (
    "--config=flickr8k",
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.encoder.crop_fraction=1.0",
    "--config.decoder.embedding_size=4",
    "--config.decoder.num_lstm_units=4",
    "--config.input.batch_size=5",
    "--config.training.num_epochs=3",
    "--config.training.steps_per_call=1",
    "--config.training.checkpoint_every_secs=1e-9",
    "--config.training.sample_images=0",
)


@pytest.fixture
def train(monkeypatch, capsys):
    """Runs the command and returns its exit status, what it printed, and its errors."""

    def run(data_dir, workdir, *flags):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        argv = ["im2txt.train", *FLAGS, f"--config.input.data_dir={data_dir}", f"--workdir={workdir}", *flags]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            command_line.run(importlib.import_module("im2txt.train").main)
        return stop.value.code, *capsys.readouterr()

    return run


def content(workdir):
    return {
        path: path.read_bytes()
        for path in workdir.rglob("*")
        if path.is_file() and path.name not in (".lock", "config.json")
    }


def test_a_workdir_of_something_else_is_refused_in_one_line_and_left_as_it_is(data_dir, train, tmp_path, monkeypatch):
    workdir = tmp_path / "run"

    def full(checkpoint, path):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", full)
        status, _, err = train(data_dir, workdir)
    assert status == 1
    assert re.match(r"error: .*/ckpt-1 could not be written: No space left on device .* same command again\.\n$", err)
    assert train(data_dir, workdir)[0] == 0
    before = content(workdir)

    other_words = Vocabulary([*zip(VOCABULARY.words[:-1], VOCABULARY.counts[:-1], strict=True), ("walks", 1)])
    words = write_dataset(tmp_path / "words", {"train": 5, "val": 2}, (1,), feature_size=4, vocabulary=other_words)
    encoder = tmp_path / "encoder"
    shutil.copytree(data_dir, encoder)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([2.0])}}).write(f"{encoder}/encoder")
    for told, *arguments in (
        ("holds a run of another configuration (decoder.num_lstm_units: 4 -> 5)", data_dir, "num_lstm_units=5"),
        (f"{words.data_dir} no longer holds the shards that the run in", words.data_dir, "name=show_and_tell"),
        (f"is not the encoder that the run in {workdir} was started with", encoder, "name=show_and_tell"),
    ):
        status, _, err = train(arguments[0], workdir, f"--config.decoder.{arguments[1]}")
        assert (status, err.count("\n")) == (1, 1), err
        assert told in err
        assert content(workdir) == before


def test_a_damaged_checkpoint_is_passed_over_and_a_foreign_one_refused(data_dir, train, tmp_path):
    workdir = tmp_path / "run"
    assert train(data_dir, workdir)[0] == 0
    newest, earlier = (workdir / "checkpoints" / f"ckpt-{step}.data-00000-of-00001" for step in (3, 2))
    shutil.rmtree(workdir / "best")

    os.truncate(newest, newest.stat().st_size // 2)
    status, out, err = train(data_dir, workdir)
    assert status == 0
    assert f"Skipped a damaged checkpoint: {workdir}/checkpoints/ckpt-3: " in err
    assert "Resuming at step 2 of 3 " in out

    newest.with_name("ckpt-3.index").unlink()  # Half written: the data came first.
    status, out, err = train(data_dir, workdir)
    assert status == 0
    assert f"Going on from {workdir}/checkpoints/ckpt-2 instead." in err
    assert "Resuming at step 2 of 3 " in out

    for path in (workdir / "checkpoints").glob("ckpt-*"):
        path.unlink()
    tf.train.Checkpoint(model={"kernel": tf.Variable([1.0])}).write(f"{workdir}/checkpoints/ckpt-3")
    shutil.rmtree(workdir / "best", ignore_errors=True)
    status, out, err = train(data_dir, workdir)
    assert (status, err.count("\n")) == (1, 1), err
    assert err.startswith(f"error: Checkpoint {workdir}/checkpoints/ckpt-3 does not fit this model: ")


def test_a_caption_that_is_longer_than_the_shapes_that_never_change(data_dir, train, tmp_path):
    status, _, err = train(data_dir, tmp_path / "run", "--config.input.padded_caption_length=4")
    assert (status, err.count("\n")) == (1, 1), err
    assert re.match(r"error: input\.padded_caption_length=4: photograph \d has a caption of [56] ids ", err)
