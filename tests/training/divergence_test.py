"""When a run is ended because its loss has gone wrong, and what is said."""

import math
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf
from fakes import write_dataset

from im2txt.configuration import ExperimentConfig, OptimizationConfig, TrainingConfig
from im2txt.training.divergence import Guard
from im2txt.training.train_step import StepMetrics

ROOT = pathlib.Path(__file__).parents[2]
VOCAB_SIZE = 1000
LN_V = math.log(VOCAB_SIZE)


def guard(first_step=0, **fields):
    def rate(step):
        return tf.cast(step, tf.float32) / 1000

    return Guard(first_step, VOCAB_SIZE, rate, ExperimentConfig(**fields))


def look(loss, steps=10, gradient_norm=3.0):
    return StepMetrics(loss_sum=loss * 50 * steps, words=50.0 * steps, gradient_norm=gradient_norm * steps)


def test_the_message_has_steps_and_figures_from_before_and_after_and_what_to_try():
    watch = guard(
        optimization=OptimizationConfig(clip_norm=5.0, warmup_steps=20),
        training=TrainingConfig(compute_dtype="bfloat16"),
    )
    assert not watch(10, look(2.5))
    with pytest.raises(RuntimeError) as told:
        watch(20, look(math.nan, gradient_norm=math.inf))
    message = str(told.value)
    assert "The loss is nan between steps 10 and 20, the gradient's norm inf, the learning rate 0.019." in message
    assert "the loss is 2.5 between steps 0 and 10, the gradient's norm 3, the learning rate 0.009." in message
    for advice in (
        "lower optimization.learning_rate",
        "lower optimization.clip_norm=5",
        "lengthen optimization.warmup_steps=20",
        "set training.compute_dtype=float32",
    ):
        assert advice in message


def test_a_gradient_that_is_no_number_ends_the_run_too():
    with pytest.raises(RuntimeError, match="loss is 2.5 between steps 7 and 17, the gradient's norm nan"):
        guard(7, optimization=OptimizationConfig(clip_norm=0.0))(17, look(2.5, gradient_norm=math.nan))


def test_a_loss_far_above_that_of_guessing_ends_the_run_after_100_steps_on_end():
    watch = guard(30)
    for step in range(40, 130, 10):
        watch(step, look(LN_V + 2.1))
    with pytest.raises(RuntimeError, match=r"has exploded: since step 30 it is above 8\.91, and 6\.91 is what"):
        watch(130, look(LN_V + 2.1))


def test_a_loss_that_comes_back_is_forgiven_and_a_bad_guesser_goes_on():
    watch = guard()
    for step in range(10, 1000, 10):
        watch(step, look(LN_V + (1.9 if step % 100 == 0 else 50.0)))


def test_an_exploding_learning_rate_ends_the_command_with_one_line(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 12, "val": 3}, (2,), feature_size=6)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    flags = [
        "--config=flickr8k",
        "--config.encoder.backbone=SmallCNN",
        "--config.encoder.weights=none",
        "--config.decoder.embedding_size=8",
        "--config.decoder.num_lstm_units=8",
        "--config.input.batch_size=4",
        "--config.optimization.learning_rate=100",
        "--config.optimization.schedule=constant",
        "--config.optimization.warmup_steps=0",
        "--config.training.num_epochs=100",
        "--config.training.eval_every_epochs=100",
        "--config.training.sample_images=0",
        f"--config.input.data_dir={dataset.data_dir}",
        f"--workdir={tmp_path}/run",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "im2txt.train", *flags], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "The loss has exploded: since step" in line or "is no number" in line
    assert "lower optimization.learning_rate" in line
    assert "Traceback" not in done.stderr
