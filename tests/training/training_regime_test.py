"""How runs are trained, through the command: every knob, both phases in one run and in two, exactly resumed."""

import importlib
import json
import math
import os
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf
from fakes import one_layer_small_cnn, step_by_step, write_dataset

from configs import im2txt, im2txt_finetune
from data_prep.features.feature_shards import cache_features
from im2txt.configuration import EncoderConfig
from im2txt.runs import checkpoint_files, checkpoints, run_folder
from im2txt.training.optimization import learning_rate
from im2txt.training.run_schedule import RunSchedule
from im2txt.training.train_step import Trainer

ENCODER = EncoderConfig(backbone="SmallCNN", weights="none", image_size=16, crop_fraction=1.0)
SMALL = (
    "--config=im2txt",
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.encoder.image_size=16",
    "--config.encoder.crop_fraction=1.0",
    "--config.encoder.resize=half_pixel",
    "--config.decoder.embedding_size=6",
    "--config.decoder.num_lstm_units=6",
    "--config.input.batch_size=4",
    "--config.input.shuffle_buffer_examples=4",
    "--config.input.distort_images=False",
    "--config.training.log_every_steps=2",
    "--config.training.steps_per_call=3",
    "--config.training.num_epochs=4",
    "--config.training.sample_images=0",
)
# 8 photographs with 2 captions each, which share a pass: 2 steps an epoch, 8 in all, the encoder from the fourth on.
EVERYTHING = (
    "--config.input.captions_per_image=2",
    "--config.encoder.trainable=True",
    "--config.encoder.train_from_epoch=1.5",
    "--config.encoder.l2_regularization=0.01",
    "--config.encoder.compute_dtype=bfloat16",
    "--config.optimization.optimizer=adam",
    "--config.optimization.momentum=0.8",
    "--config.optimization.square_decay=0.99",
    "--config.optimization.learning_rate=0.01",
    "--config.optimization.encoder_learning_rate_factor=0.5",
    "--config.optimization.schedule=exponential",
    "--config.optimization.decay_from_epoch=1",
    "--config.optimization.clip_value=0.5",
    "--config.optimization.word_dropout_rate=0.1",
    "--config.optimization.scheduled_sampling_rate=0.5",
    "--config.optimization.scheduled_sampling_from_epoch=1",
    "--config.optimization.ema_decay=0.9",
    "--config.training.accumulation_steps=2",
    "--config.training.stop_above_perplexity=1000",
)


@pytest.fixture(scope="module", autouse=True)
def _small_network():
    with one_layer_small_cnn():
        yield


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("photographs"), {"train": 8, "val": 3}, (2,)).data_dir


def train(data_dir, workdir, *flags):
    """The command, in this process."""
    arguments = [*SMALL, f"--config.input.data_dir={data_dir}", f"--workdir={workdir}", *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["im2txt.train", *arguments])
        importlib.import_module("im2txt.train").main()


def rows(workdir, kind):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        return [row for row in map(json.loads, file) if row["kind"] == kind]


def values(path):
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith(("_CHECK", "save_counter"))]
    return {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): reader.get_tensor(name) for name in names}


def last_values(workdir):
    timed = ("progress/elapsed_secs", "progress/interval_secs")
    path = checkpoint_files.list_checkpoints(os.path.join(workdir, checkpoints.LATEST_DIRECTORY))[0]
    return {name: value for name, value in values(path).items() if name not in timed}


@pytest.fixture(scope="module")
def finished(photographs, tmp_path_factory):
    """A run with every knob turned, to its end at once."""
    workdir = str(tmp_path_factory.mktemp("run"))
    train(photographs, workdir, *EVERYTHING)
    return workdir


def test_every_knob_trains_both_phases_and_logs_the_loss_in_its_parts(finished):
    trained = rows(finished, "train")
    assert [row["step"] for row in trained] == [2, 4, 6, 8]
    assert ["l2_loss" in row for row in trained] == [False, True, True, True]
    for row in trained[1:]:
        assert row["l2_loss"] > 0
        assert row["total_loss"] == pytest.approx(row["loss"] + row["l2_loss"])
    assert all(math.isfinite(row["loss"]) for row in trained)
    # The first epoch's two steps at the full rate, then one factor of a half every 8 epochs, of 2 steps each.
    rates = [0.01 * 0.5 ** (max(step - 1 - 2, 0) / 16) for step in (2, 4, 6, 8)]
    np.testing.assert_allclose([row["learning_rate"] for row in trained], rates, rtol=1e-6)


@step_by_step()
def test_a_run_stopped_in_both_phases_and_resumed_equals_an_uninterrupted_one(photographs, tmp_path, capsys):
    train_steps, flags = Trainer.train_steps, (*EVERYTHING, "--config.training.num_epochs=3")
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    train(photographs, whole, *flags)

    def interrupted(trainer, batches, num_steps):
        metrics = train_steps(trainer, batches, num_steps)
        if trainer.step in (2, 4) and num_steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return metrics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_steps", interrupted)
        for stopped_at in (2, 4):
            with pytest.raises(KeyboardInterrupt):
                train(photographs, stopped, *flags)
            assert f"Stopped at step {stopped_at} " in capsys.readouterr().out
    train(photographs, stopped, *flags)
    expected, actual = last_values(whole), last_values(stopped)
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    for kind in ("train", "val"):
        for row, expected_row in zip(rows(stopped, kind), rows(whole, kind), strict=True):
            timed = ("time", "captions_per_sec")
            assert {k: v for k, v in row.items() if k not in timed} == {
                k: v for k, v in expected_row.items() if k not in timed
            }


def test_a_run_is_judged_loaded_and_exchanged_by_its_average(finished, photographs):
    best = values(checkpoints.find_checkpoint(finished))
    averaged = {name.partition("/")[2]: value for name, value in best.items() if name.startswith("average/")}
    run = run_folder.load_run(finished)
    assert averaged.keys() == run.captioner.variables.keys()
    for name, variable in run.captioner.variables.items():
        np.testing.assert_array_equal(variable.numpy(), averaged[name], err_msg=name)
    assert any(np.any(best[f"model/{name}"] != value) for name, value in averaged.items())
    val = rows(finished, "val")
    assert min(row["perplexity"] for row in val) == next(
        row["perplexity"] for row in val if row["step"] == checkpoint_files.step_of(run.checkpoint)
    )


@step_by_step()
def test_a_perplexity_above_the_limit_ends_the_run_with_both_figures(photographs, tmp_path):
    with pytest.raises(
        RuntimeError, match=r"validation at step 4 is \d+\.\d+, above training.stop_above_perplexity=1\.5"
    ):
        train(photographs, tmp_path, "--config.training.stop_above_perplexity=1.5")
    assert [row["step"] for row in rows(tmp_path, "val")] == [4]


def test_parts_that_do_not_divide_the_batch_are_refused(photographs, tmp_path):
    with pytest.raises(ValueError, match=r"accumulation_steps=3 must divide the 4 photographs .* input\.batch_size=4"):
        train(photographs, tmp_path / "run", "--config.training.accumulation_steps=3")
    assert not (tmp_path / "run").exists()


@step_by_step()
def test_a_second_run_trains_the_encoder_of_a_first_on_cached_features(photographs, tmp_path):
    features = str(tmp_path / "features")
    cache_features(photographs, features, ENCODER, 4, seed=9)  # Not the seed of the runs.
    train(features, tmp_path / "first", "--config.training.num_epochs=1")
    first = values(checkpoints.find_checkpoint(str(tmp_path / "first")))
    cached = values(os.path.join(features, run_folder.FEATURE_ENCODER_NAME))
    # The first run's encoder and decoder, whatever `weights` says; the rate is too small to move what is not 0.
    train(
        photographs,
        tmp_path / "second",
        "--config.training.start_from=" + str(tmp_path / "first"),
        "--config.encoder.trainable=True",
        "--config.encoder.weights=imagenet",
        "--config.optimization.learning_rate=1e-30",
        "--config.training.num_epochs=1",
    )
    second = last_values(tmp_path / "second")
    expected = {f"model/encoder/{name.removeprefix('model/')}": value for name, value in cached.items()}
    expected |= {name: value for name, value in first.items() if name.startswith("model/decoder/")}
    for name, value in expected.items():
        np.testing.assert_allclose(second[name], value, rtol=0, atol=1e-29, err_msg=name)
    assert any(np.any(second[name] != expected[name]) for name in expected if name.startswith("model/encoder/"))


def test_the_original_s_recipes_are_its_own():
    first, second = im2txt.get_config(), im2txt_finetune.get_config()
    lengths = [RunSchedule.of(config.training, 586_368, config.input.batch_size) for config in (first, second)]
    assert [schedule.total_steps for schedule in lengths] == [1_000_000, 2_000_000]
    rates = [
        float(learning_rate(config.optimization, tf.constant(step, tf.int64), 586_363 / 32, 1))
        for config, step in ((first, 0), (first, 146_589), (first, 146_590), (first, 999_999), (second, 1_999_999))
    ]
    np.testing.assert_allclose(rates, [2.0, 2.0, 1.0, 2 * 0.5**6, 0.0005])
    for config in (first, second):
        assert (config.optimization.optimizer, config.optimization.clip_norm, config.input.batch_size) == (
            "sgd",
            5.0,
            32,
        )
        assert (config.decoder.input_dropout_rate, config.decoder.output_dropout_rate) == (0.3, 0.3)
        assert (config.decoder.initializer_scale, config.decoder.log_frequency_bias) == (0.08, False)
        assert (config.encoder.backbone, config.encoder.resize, config.input.distort_images) == (
            "InceptionV3",
            "legacy",
            True,
        )
        assert round(299 / config.encoder.crop_fraction) == 346
    assert not first.encoder.trainable
    assert first.decoder.image_dropout_rate == 0
    assert second.encoder.trainable
    assert second.encoder.update_batch_norm
    assert (second.encoder.l2_regularization, second.encoder.batch_norm_momentum) == (4e-5, 0.9997)
    assert second.decoder.image_dropout_rate == 0.2
