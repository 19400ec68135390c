"""Two worker processes through the commands: killed, stopped and started again, against themselves and one device."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fakes import write_dataset

from im2txt.system import command_line

ROOT = Path(__file__).parents[2]
DEADLINE_SECS = 900
MULTI_WORKER = "--config.training.distribution=multi_worker"
COMMON = (
    "--config=flickr8k",
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.decoder.embedding_size=8",
    "--config.decoder.num_lstm_units=8",
    "--config.optimization.clip_norm=0.05",
    "--config.training.compute_dtype=float32",
    "--config.training.early_stopping_evaluations=0",
    "--config.training.steps_per_call=1",
    "--config.training.checkpoint_every_secs=1e-9",
    "--config.training.log_every_steps=4",
)
# Every step sees the whole split, so that one device and two workers have the same batches whoever reads what.
ON_FEATURES = (
    "--config.encoder.crop_fraction=1.0",
    "--config.decoder.input_dropout_rate=0.0",
    "--config.decoder.output_dropout_rate=0.0",
    "--config.input.batch_size=12",
    "--config.input.bucketing_batches=1",
    "--config.training.num_epochs=12",
    "--config.training.eval_every_epochs=6",
    "--config.training.caption_every_epochs=6",
    "--config.training.sample_images=2",
)
# Everything that draws at random, and a trained encoder: 20 examples in batches of 4, three epochs.
ON_PHOTOGRAPHS = (
    "--config.encoder.image_size=16",
    "--config.encoder.trainable=True",
    "--config.input.batch_size=4",
    "--config.input.bucketing_batches=2",
    "--config.training.num_epochs=3",
)
# What each worker runs: one training after the other, with an accident of its own in each, once. The first worker is
# killed when half of a checkpoint has its name; later the second one is asked to stop.
DRIVER = """
import json, os, pathlib, signal, sys
import tensorflow as tf
from im2txt import train
from im2txt.system import command_line
from im2txt.training.train_step import Trainer

trainings, accidents = json.loads(sys.argv[1])
is_first = json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0
rename, train_steps = tf.io.gfile.rename, Trainer.train_steps

def once(name):
    path = pathlib.Path(accidents, name)
    is_new = bool(accidents) and not path.exists()
    if is_new:
        path.touch()
    return is_new

def killed_in_save(source, target, overwrite=False):
    if target.endswith("/ckpt-10.index") and once("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, overwrite)

def stopped(trainer, batches, num_steps):
    metrics = train_steps(trainer, batches, num_steps)
    if "features" not in flags_text and trainer.step == 7 and once("stop"):
        os.kill(os.getpid(), signal.SIGTERM)
    return metrics

if is_first:
    tf.io.gfile.rename = killed_in_save
else:
    Trainer.train_steps = stopped

def main():
    global flags_text
    for flags in trainings:
        flags_text = " ".join(flags)
        sys.argv = ["im2txt.train", *flags]
        train.main()

command_line.run(main)
"""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    features = write_dataset(folder / "features", {"train": 12, "val": 3}, (1,), feature_size=4, shards_per_split=1)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{features.data_dir}/encoder")
    photographs = write_dataset(folder / "photographs", {"train": 8, "val": 3}, (3, 2))
    return {"features": features.data_dir, "photographs": photographs.data_dir}


def flags(data, content, workdir):
    return [
        *COMMON,
        *(ON_FEATURES if content == "features" else ON_PHOTOGRAPHS),
        f"--config.input.data_dir={data[content]}",
        f"--workdir={workdir / content}",
    ]


def launch(data, workdir, accidents=""):
    """Trains on features, then on photographs, with two workers; returns the launcher when it has ended."""
    trainings = [[*flags(data, content, workdir), MULTI_WORKER] for content in data]
    command = [sys.executable, "-c", DRIVER, json.dumps([trainings, str(accidents)])]
    return subprocess.run(
        [sys.executable, "-m", "im2txt.launch", f"--log_dir={workdir}/logs", "--", *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECS,
    )


def variables(workdir):
    path = tf.train.latest_checkpoint(f"{workdir}/checkpoints")
    reader = tf.train.load_checkpoint(path)
    names = [name for name, _ in tf.train.list_variables(path) if name.startswith(("model/", "optimizer/"))]
    return {name: reader.get_tensor(name) for name in names}


def assert_equal_variables(workdir, other, rtol, atol):
    actual, expected = variables(workdir), variables(other)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol, atol, err_msg=name)


def rows(workdir):
    written = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in row if name not in ("time", "captions_per_sec")} for row in written]


@pytest.fixture
def here(monkeypatch, capsys):
    """Runs a command in this process and returns what it printed."""

    def run(module, *flags):
        monkeypatch.setattr(sys, "argv", [module, *flags])
        with pytest.raises(SystemExit) as stop:
            command_line.run(importlib.import_module(module).main)
        out, err = capsys.readouterr()
        assert stop.value.code == 0, err
        return out

    return run


# One test, since each start of two workers costs two imports of TensorFlow.
def test_two_workers_end_with_the_same_bits_however_they_were_ended_and_with_one_device_s_weights(data, tmp_path, here):
    whole, ended, one = (tmp_path / name for name in ("whole", "ended", "one"))
    done = launch(data, whole)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 replica(s) on 2 workers") == 2

    accidents = tmp_path / "accidents"
    accidents.mkdir()
    stopped = launch(data, ended, accidents)
    told = stopped.stdout + stopped.stderr
    assert stopped.returncode == 130, told
    assert sorted(os.listdir(accidents)) == ["kill", "stop"]
    assert "Worker 0 was killed by SIGKILL." in stopped.stderr
    assert stopped.stdout.count("Starting all workers again") == 1, told
    assert "Resuming at step 9 of 12 " in stopped.stdout
    assert "Stopped at step 7 and saved" in stopped.stdout
    assert "Stopping after the current steps" not in stopped.stdout  # It was the other worker that was asked to.
    finished = launch(data, ended, accidents)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"The run in {ended}/features has finished at step 12 of 12" in finished.stdout
    assert "Resuming at step 7 of 15 " in finished.stdout
    for content in data:
        assert rows(ended / content) == rows(whole / content)
        assert_equal_variables(ended / content, whole / content, rtol=0, atol=0)

    here("im2txt.train", *flags(data, "features", one))
    assert_equal_variables(whole / "features", one / "features", rtol=1e-5, atol=1e-6)
    for expected, actual in zip(rows(one / "features"), rows(whole / "features"), strict=True):
        assert actual.keys() == expected.keys()
        for name in {"step", "loss", "CIDEr-D"} & expected.keys():
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5)
    assert [row["step"] for row in rows(whole / "features") if "CIDEr-D" in row] == [6, 12]
    for run in (one, ended):
        assert (run / "features/samples.jsonl").read_text() == (whole / "features/samples.jsonl").read_text()

    for content in data:
        here("im2txt.evaluate", f"--workdir={whole / content}", "--split=val", f"--output_dir={tmp_path}/scores")
        scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
        val_rows = [row for row in rows(whole / content) if row["kind"] == "val" and "perplexity" in row]
        validated = {row["step"]: row["perplexity"] for row in val_rows}
        assert scores["perplexity"] == pytest.approx(validated[scores["step"]], rel=1e-5)
