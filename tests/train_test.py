"""What `im2txt.train` refuses before any work, in one line that says what to do: devices, workers, shapes."""

import importlib
import json
import socket
import sys

import pytest
import tensorflow as tf
from fakes import write_dataset

from im2txt.system import command_line
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
