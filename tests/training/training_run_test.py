"""Whole runs on a tiny data set: resuming, stopping, keeping the best, refusing what does not fit."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from fakes import VOCABULARY, write_dataset

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.training.training_run import train


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Feature shards of 12 + 4 photographs, with the encoder's files that a run copies."""
    dataset = write_dataset(tmp_path_factory.mktemp("features"), {"train": 12, "val": 4}, (3, 2), feature_size=6)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset


def experiment(dataset, epochs=4.0, **training):
    defaults = {"steps_per_call": 3, "log_every_steps": 5, "checkpoint_every_secs": 1e9, "sample_images": 0}
    return ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir, batch_size=4, shuffle_buffer_examples=10, bucketing_batches=2),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(embedding_size=8, num_lstm_units=8),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="constant"),
        training=TrainingConfig(num_epochs=epochs, **(defaults | training)),
    )


def final_variables(workdir):
    path = tf.train.latest_checkpoint(os.path.join(workdir, checkpoints.LATEST_DIRECTORY))
    reader = tf.train.load_checkpoint(path)
    names = [name for name, _ in tf.train.list_variables(path)]
    # Neither the count of savings nor the time is part of what is trained.
    left_out = ("_CHECK", "save_counter", "progress/elapsed_secs", "progress/interval_secs")
    return {name: reader.get_tensor(name) for name in names if not name.startswith(left_out)}


def rows(workdir):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def finished(features, tmp_path_factory):
    workdir = str(tmp_path_factory.mktemp("finished"))
    train(experiment(features), workdir)
    return workdir


def test_every_validation_and_interval_is_logged(features, finished):
    # 12 photographs with 3, 2, 3, 2 ... captions are 30 examples: 7.5 steps an epoch, 30 steps in all.
    written = rows(finished)
    assert [row["step"] for row in written if row["kind"] == "val"] == [8, 15, 23, 30]
    assert [row["step"] for row in written if row["kind"] == "train"] == [5, 10, 15, 20, 25, 30]
    assert written[-1]["epoch"] == 4.0
    assert all(abs(np.exp(row["loss"]) - row["perplexity"]) < 1e-6 * row["perplexity"] for row in written)


def test_best_checkpoint_is_the_one_with_the_best_validation(finished):
    best = min((row for row in rows(finished) if row["kind"] == "val"), key=lambda row: row["perplexity"])
    assert checkpoints.find_checkpoint(finished).endswith(f"ckpt-{best['step']}")
    assert str(best["step"]) in os.path.basename(checkpoints.find_checkpoint(finished))


def test_a_run_carries_configuration_vocabulary_and_encoder(features, finished):
    assert run_folder.read_run_config(finished) == experiment(features)
    assert run_folder.read_run_vocabulary(finished).words == VOCABULARY.words
    assert os.path.exists(os.path.join(finished, checkpoints.ENCODER_NAME + ".index"))


def test_variables_are_saved_under_their_stable_names(finished):
    assert {
        "model/decoder/lstm/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "optimizer/decoder/lstm/kernel/m/.ATTRIBUTES/VARIABLE_VALUE",
        "global_step/.ATTRIBUTES/VARIABLE_VALUE",
    } <= final_variables(finished).keys()


def test_training_stops_early_when_validation_does_not_improve(features, tmp_path, capsys):
    config = experiment(features, epochs=30, early_stopping_evaluations=2)
    # A rate of 5 diverges after the first updates, so no later validation beats the first ones.
    optimization = dataclasses.replace(config.optimization, learning_rate=5.0)
    train(dataclasses.replace(config, optimization=optimization), str(tmp_path))
    assert "stopping early" in capsys.readouterr().out
    assert rows(tmp_path)[-1]["step"] < 225


def test_a_loss_that_is_not_finite_ends_the_run(features, tmp_path):
    config = experiment(features)
    optimization = OptimizationConfig(optimizer="sgd", learning_rate=3e38, schedule="constant", clip_norm=0)
    with pytest.raises(RuntimeError, match=r"loss is (nan|inf) between steps \d+ and \d+"):
        train(dataclasses.replace(config, optimization=optimization), str(tmp_path))


def test_another_configuration_in_the_same_workdir_is_refused(features, finished):
    config = experiment(features)
    changed = dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, num_lstm_units=16))
    with pytest.raises(ValueError, match="decoder.num_lstm_units: 8 -> 16"):
        train(changed, finished)


def test_changed_shards_in_the_same_workdir_are_refused(features, finished, tmp_path):
    other = write_dataset(tmp_path / "other", {"train": 11, "val": 4}, (3, 2), feature_size=6)
    config = run_folder.read_run_config(finished)
    with pytest.raises(ValueError, match="no longer holds the shards"):
        run_folder.start_run(finished, config, other.manifest, VOCABULARY)


def test_features_of_another_encoder_are_refused(features, tmp_path):
    config = experiment(features)
    changed = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, pooling="max"))
    with pytest.raises(ValueError, match="pooling is 'avg', not 'max'.*cache_features"):
        train(changed, str(tmp_path))


def test_grids_are_refused_by_a_decoder_of_vectors_before_anything_is_written(tmp_path):
    data = write_dataset(tmp_path / "data", {"train": 12, "val": 4}, (3, 2), feature_size=(2, 3))
    config = experiment(data)
    config = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, pooling="grid"))
    told = r"decoder.name=show_and_tell looks at one vector .*\. Set encoder.pooling=avg or max or flatten"
    with pytest.raises(ValueError, match=told):
        train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_missing_data_dir_names_the_flag(tmp_path):
    with pytest.raises(ValueError, match="--config.input.data_dir"):
        train(ExperimentConfig(), str(tmp_path))


def test_a_trained_encoder_is_trained_and_a_frozen_one_stays_bit_identical(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 4, "val": 2}, (2,))
    moved = {}
    for trainable in (False, True):
        config = experiment(dataset, epochs=1)
        encoder = EncoderConfig(backbone="SmallCNN", weights="none", image_size=16, trainable=trainable)
        workdir = str(tmp_path / f"run{trainable}")
        train(dataclasses.replace(config, encoder=encoder), workdir)
        tf.keras.utils.set_random_seed(config.training.seed)
        initial = {name: v.numpy() for name, v in ImageEncoder(encoder).variables.items()}
        final = run_folder.load_run(workdir).captioner.encoder.variables
        moved[trainable] = max(np.abs(final[name].numpy() - value).max() for name, value in initial.items())
    assert moved[False] == 0
    assert moved[True] > 0


def test_replicas_end_with_the_weights_of_one_device(features, tmp_path):
    config = experiment(features, epochs=1, log_every_steps=1)
    config = dataclasses.replace(
        config,
        decoder=dataclasses.replace(config.decoder, input_dropout_rate=0.0, output_dropout_rate=0.0),
        optimization=OptimizationConfig(optimizer="adamw", learning_rate=0.01, clip_norm=0.05, weight_decay=0.1),
    )
    train(config, str(tmp_path / "one"))
    spread = dataclasses.replace(config.training, distribution="mirrored", logical_devices=2)
    train(dataclasses.replace(config, training=spread), str(tmp_path / "two"))
    one, two = (final_variables(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    for expected, actual in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert actual.keys() == expected.keys()
        for name in {"step", "loss", "gradient_norm", "learning_rate"} & expected.keys():
            assert actual[name] == pytest.approx(expected[name], rel=1e-5), name
        assert expected.get("gradient_norm", 1.0) > 0.05  # Clipping is at work.


def test_a_batch_that_the_replicas_cannot_share_is_refused(features, tmp_path):
    config = experiment(features)
    spread = dataclasses.replace(config.training, distribution="mirrored", logical_devices=2)
    uneven = dataclasses.replace(config.input, batch_size=5)
    with pytest.raises(ValueError, match=r"input\.batch_size=5 must be a multiple of the 2 replicas"):
        train(dataclasses.replace(config, input=uneven, training=spread), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def listing(folder):
    return {path: path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def test_a_finished_run_given_again_changes_nothing(features, finished, capsys):
    before = listing(finished)
    best = train(experiment(features), finished)
    assert best == checkpoints.find_checkpoint(finished)
    assert capsys.readouterr().out == f"The run in {finished} has finished at step 30 of 30: no step is left.\n"
    assert listing(finished) == before


def test_a_run_that_stopped_early_and_is_given_again_changes_nothing(features, tmp_path, capsys):
    config = experiment(features, epochs=30, early_stopping_evaluations=1)
    diverging = dataclasses.replace(config.optimization, learning_rate=5.0)
    config = dataclasses.replace(config, optimization=diverging)
    train(config, str(tmp_path))
    before, step = listing(tmp_path), rows(tmp_path)[-1]["step"]
    capsys.readouterr()
    train(config, str(tmp_path))
    assert f"has stopped early at step {step} of 225: no step is left." in capsys.readouterr().out
    assert listing(tmp_path) == before
