"""Two worker processes through the command, stopped and started again, against one device."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from fakes import write_dataset

ROOT = Path(__file__).parents[2]
DEADLINE_SECS = 300
# Every step sees the whole split, so that one device and two workers have the same batches whoever reads what.
FLAGS = (
    "--config=flickr8k",
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.encoder.crop_fraction=1.0",
    "--config.decoder.embedding_size=8",
    "--config.decoder.num_lstm_units=8",
    "--config.decoder.input_dropout_rate=0.0",
    "--config.decoder.output_dropout_rate=0.0",
    "--config.input.batch_size=12",
    "--config.input.bucketing_batches=1",
    "--config.optimization.clip_norm=0.05",
    "--config.training.compute_dtype=float32",
    "--config.training.early_stopping_evaluations=0",
    "--config.training.log_every_steps=20",
    "--config.training.eval_every_epochs=30",
    "--config.training.steps_per_call=1",
    "--config.training.caption_every_epochs=45",
    "--config.training.sample_images=2",
)


def start(workdir, data_dir, epochs, log, **environment):
    flags = [*FLAGS, f"--config.input.data_dir={data_dir}", f"--config.training.num_epochs={epochs}"]
    if "TF_CONFIG" in environment:
        flags.append("--config.training.distribution=multi_worker")
    with open(log, "w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "im2txt.train", *flags, f"--workdir={workdir}"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def start_workers(workdir, data_dir, epochs, logs):
    with socket.socket() as one, socket.socket() as other:  # Both open, so that the ports differ.
        for held in (one, other):
            held.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{held.getsockname()[1]}" for held in (one, other)]}
    return [
        start(
            workdir,
            data_dir,
            epochs,
            log,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index, log in enumerate(logs)
    ]


def wait(*processes):
    try:
        return [process.wait(DEADLINE_SECS) for process in processes]
    finally:
        for process in processes:
            process.kill()


def variables(workdir):
    path = tf.train.latest_checkpoint(f"{workdir}/checkpoints")
    reader = tf.train.load_checkpoint(path)
    names = [name for name, _ in tf.train.list_variables(path) if name.startswith(("model/", "optimizer/"))]
    return {name: reader.get_tensor(name) for name in names}


def test_two_workers_stopped_by_a_signal_to_one_and_resumed_equal_one_device(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 12, "val": 3}, (1,), feature_size=4, shards_per_split=1)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    logs, epochs = [tmp_path / "log0", tmp_path / "log1"], 90
    workers = start_workers(tmp_path / "two", dataset.data_dir, epochs, logs)
    end = time.monotonic() + DEADLINE_SECS
    while "train | step 20 " not in logs[0].read_text() and time.monotonic() < end and workers[0].poll() is None:
        time.sleep(0.05)
    workers[1].send_signal(signal.SIGTERM)
    assert wait(*workers) == [130, 130], [log.read_text() for log in logs]
    assert "Stopped at step " in logs[0].read_text()
    assert "Stopping after the current steps" not in logs[0].read_text()

    assert wait(*start_workers(tmp_path / "two", dataset.data_dir, epochs, logs)) == [0, 0]
    assert "Resuming at step " in logs[0].read_text()
    assert "2 replica(s) on 2 workers" in logs[0].read_text()
    assert wait(start(tmp_path / "one", dataset.data_dir, epochs, logs[0])) == [0], logs[0].read_text()

    one, two = variables(tmp_path / "one"), variables(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    rows = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    ]
    for expected, actual in zip(*rows, strict=True):
        assert actual.keys() == expected.keys()
        for name in {"step", "loss", "CIDEr-D"} & expected.keys():
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5)
    assert [row["step"] for row in rows[0] if "CIDEr-D" in row] == [45, 90]
    assert (tmp_path / "two" / "samples.jsonl").read_text() == (tmp_path / "one" / "samples.jsonl").read_text()
