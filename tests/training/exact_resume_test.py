"""Runs that end in every way there is and are given again, against the same run uninterrupted: equal to the bit."""

import json
import os
import resource
import signal

import numpy as np
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
from im2txt.training.train_step import Trainer
from im2txt.training.training_run import train

STEPS = 13
"""6 photographs with 3, 2, 3 ... captions are 15 examples, in batches of 4: a bit over three epochs."""


class KilledError(BaseException):
    """Ends a run as a kill would: nothing more is saved."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photographs, and features of as many."""
    folder, images = tmp_path_factory.mktemp("data"), {"train": 6, "val": 2}
    features = write_dataset(folder / "features", images, (3, 2), feature_size=6)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{features.data_dir}/encoder")
    return {
        "photographs": write_dataset(folder / "photographs", images, (3, 2)).data_dir,
        "features": features.data_dir,
    }


def experiment(data, content, replicas):
    """A run with everything that draws at random: order, buckets, distortions, dropout."""
    encoder = EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0)
    if content != "features":
        encoder = EncoderConfig(
            backbone="SmallCNN",
            weights="none",
            crop_fraction=0.8,
            image_size=16,
            trainable=content == "trained encoder",
        )
    return ExperimentConfig(
        input=InputConfig(
            data_dir=data["features" if content == "features" else "photographs"],
            batch_size=4,
            shuffle_buffer_examples=5,
            bucketing_batches=2,
        ),
        encoder=encoder,
        decoder=ShowAndTellConfig(embedding_size=4, num_lstm_units=4),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="cosine", clip_norm=0.1),
        training=TrainingConfig(
            num_epochs=STEPS * 4 / 15,
            steps_per_call=1,
            sample_images=0,
            log_every_steps=3,
            checkpoint_every_secs=1e-9,  # After each step, as if steps took hours.
            distribution="mirrored" if replicas > 1 else "one_device",
            logical_devices=replicas if replicas > 1 else 0,
        ),
    )


def stop(patch, step):
    """SIGTERM after a step."""
    after_step(patch, step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    return pytest.raises(KeyboardInterrupt)


def kill(patch, step):
    """The end of the process after a step, before its checkpoint."""

    def end():
        raise KilledError

    after_step(patch, step, end)
    return pytest.raises(KilledError)


def kill_in_save(patch, step):
    """The end of the process when half of the step's checkpoint has its name."""
    rename = tf.io.gfile.rename

    def end(source, target, overwrite=False):
        if target.endswith(f"ckpt-{step}.index"):
            raise KilledError
        rename(source, target, overwrite)

    patch.setattr(tf.io.gfile, "rename", end)
    return pytest.raises(KilledError)


def fill_disk(patch, step):
    """A disk that takes no more bytes when the step is to be saved: half of a file is there already."""
    write = tf.train.Checkpoint.write

    def limited(checkpoint, path):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if path.endswith(f"ckpt-{step}"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            return write(checkpoint, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    patch.setattr(tf.train.Checkpoint, "write", limited)
    return pytest.raises(RuntimeError, match=f"ckpt-{step} could not be written: .*give the same command again")


def after_step(patch, step, act):
    train_steps = Trainer.train_steps

    def acting(trainer, batches, num_steps):
        metrics = train_steps(trainer, batches, num_steps)
        if trainer.step == step:
            act()
        return metrics

    patch.setattr(Trainer, "train_steps", acting)


def outcome(workdir):
    """Every figure that was written but times, and every variable of the last checkpoint."""
    path = tf.train.latest_checkpoint(f"{workdir}/checkpoints")
    reader = tf.train.load_checkpoint(path)
    timed = ("_CHECK", "save_counter", "progress/elapsed_secs", "progress/interval_secs")
    values = {name: reader.get_tensor(name) for name, _ in tf.train.list_variables(path) if not name.startswith(timed)}
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = [{name: row[name] for name in row if name not in ("time", "captions_per_sec")} for row in rows]
    return rows, values


@pytest.mark.parametrize(
    ("content", "replicas", "ends"),
    [
        # Every content, and every number of replicas, meets a stop, a kill and a full disk.
        ("features", 1, {2: stop, 6: fill_disk, 11: kill}),
        ("features", 2, {5: kill_in_save, 9: fill_disk}),
        ("photographs", 1, {3: kill_in_save, 8: stop, 10: fill_disk}),
        ("trained encoder", 1, {7: fill_disk}),
        ("trained encoder", 2, {2: kill, 11: stop}),
    ],
)
def test_a_run_however_it_ended_goes_on_to_the_same_bits(data, content, replicas, ends, tmp_path, capsys):
    config = experiment(data, content, replicas)
    train(config, str(tmp_path / "whole"))
    before = 0
    for step, end in ends.items():
        with pytest.MonkeyPatch.context() as patch, end(patch, step):
            train(config, str(tmp_path / "ended"))
        told = f"{'Resuming' if before else 'Starting'} at step {before} of {STEPS} "
        assert told in capsys.readouterr().out
        before = step if end is stop else step - 1
    train(config, str(tmp_path / "ended"))
    assert f"Resuming at step {before} of {STEPS} " in capsys.readouterr().out
    (rows, variables), (expected_rows, expected) = outcome(tmp_path / "ended"), outcome(tmp_path / "whole")
    assert [row["step"] for row in rows if row["kind"] == "train"] == [3, 6, 9, 12, 13]
    assert rows == expected_rows
    assert variables.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(variables[name], value, err_msg=name)
