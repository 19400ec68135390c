"""What a run does with its parts, by figures that are known without them: frequencies, rates near 0, one example."""

import collections
import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf
from fakes import VOCABULARY, caption, write_dataset

from im2txt.configuration import (
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)
from im2txt.runs import checkpoint_files, checkpoints
from im2txt.runs.run_folder import build_captioner
from im2txt.text.vocabulary import Vocabulary
from im2txt.training.training_run import train

STANDING_STILL = 1e-30
"""A learning rate that moves no weight of float32."""
SMOOTHING = 0.2


def features_of(folder, images, captions_per_image, **options):
    dataset = write_dataset(folder, images, (captions_per_image,), feature_size=4, **options)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset


def experiment(dataset, optimization, epochs, batch_size=4, decoder=None, **training):
    return ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir, batch_size=batch_size, bucketing_batches=1),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(
            **{"embedding_size": 4, "num_lstm_units": 4, "input_dropout_rate": 0.0, "output_dropout_rate": 0.0}
            | (decoder or {})
        ),
        optimization=OptimizationConfig(optimizer="sgd", **optimization),
        training=TrainingConfig(
            num_epochs=epochs, **{"checkpoint_every_secs": 1e9, "log_every_steps": 1, "sample_images": 0} | training
        ),
    )


def rows(workdir, kind):
    written = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in written if row["kind"] == kind]


def saved_steps(workdir):
    return [checkpoint_files.step_of(path) for path in checkpoint_files.list_checkpoints(f"{workdir}/checkpoints")]


def weights(workdir, step):
    reader = tf.train.load_checkpoint(f"{workdir}/checkpoints/ckpt-{step}")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("model/")}


@pytest.fixture(scope="module")
def frequencies(tmp_path_factory):
    """A run whose every step predicts words by their frequency alone, as its other weights are next to 0 and stay so.

    16 captions of 8 photographs, 4 steps an epoch, one epoch. `runs` is not in the vocabulary.
    """
    said = [caption(image_id, index) for image_id in range(8) for index in range(2)]
    counted = collections.Counter(word for words in said for word in words)
    known = [(word, counted[word]) for word in ("a", "cat", "dog", "red")]
    vocabulary = Vocabulary([("<S>", len(said)), ("</S>", len(said)), *known])
    folder = tmp_path_factory.mktemp("frequencies")
    dataset = features_of(folder / "data", {"train": 8, "val": 3}, 2, vocabulary=vocabulary)
    config = experiment(
        dataset,
        {"learning_rate": STANDING_STILL, "schedule": "constant", "label_smoothing": SMOOTHING},
        epochs=1,
        decoder={"log_frequency_bias": True, "initializer_scale": 1e-12},
        log_every_steps=4,
    )
    train(config, str(folder / "run"))
    return dataset, folder / "run"


def targets(dataset, split):
    """Every word that is to be predicted, by id."""
    return np.array([i for captions in dataset.caption_ids[split].values() for ids in captions for i in ids[1:]])


def log_shares(dataset):
    """ln of every word's share of what training predicts; `<S>`, which is never predicted, counts once."""
    counts = np.maximum(np.bincount(targets(dataset, "train"), minlength=7), 1)
    return np.log(counts / counts.sum())


def test_the_output_bias_starts_from_the_words_that_training_predicts(frequencies):
    dataset, workdir = frequencies
    bias = weights(workdir, 4)["model/decoder/logits/bias/.ATTRIBUTES/VARIABLE_VALUE"]
    np.testing.assert_allclose(bias, log_shares(dataset), rtol=1e-6)
    assert np.exp(bias[6] - bias[0]) > 2  # `<UNK>` is predicted, `<S>` is not.


def test_validation_is_of_the_words_of_its_own_split_unsmoothed(frequencies):
    dataset, workdir = frequencies
    of_split = {split: -log_shares(dataset)[targets(dataset, split)].mean() for split in ("train", "val")}
    assert abs(of_split["val"] - of_split["train"]) > 0.01
    [row] = rows(workdir, "val")
    assert row["perplexity"] == pytest.approx(math.exp(of_split["val"]), rel=1e-6)


def test_the_training_loss_is_smoothed_over_all_words(frequencies):
    dataset, workdir = frequencies
    shares = log_shares(dataset)
    smoothed = (1 - SMOOTHING) * -shares[targets(dataset, "train")].mean() + SMOOTHING * -shares.mean()
    [row] = rows(workdir, "train")
    assert row["loss"] == pytest.approx(smoothed, rel=1e-6)


@pytest.fixture(scope="module")
def decayed(tmp_path_factory):
    """A run of 8 steps whose rate falls to next to 0 after the 4 of its first epoch."""
    folder = tmp_path_factory.mktemp("decayed")
    dataset = features_of(folder / "data", {"train": 8, "val": 1}, 2)
    schedule = {"schedule": "staircase", "decay_epochs": 1.0, "decay_factor": STANDING_STILL}
    config = experiment(
        dataset,
        {"learning_rate": 0.5} | schedule,
        epochs=2,
        steps_per_call=1,
        checkpoint_every_secs=1e-9,
        keep_checkpoints=6,
        eval_every_epochs=2.0,
    )
    train(config, str(folder / "run"))
    return folder / "run"


def test_steps_follow_the_schedule(decayed):
    assert [row["learning_rate"] > 0.1 for row in rows(decayed, "train")] == [True] * 4 + [False] * 4
    before, after, last = (weights(decayed, step) for step in (3, 4, 8))
    assert all(np.array_equal(after[name], value) for name, value in last.items())
    assert not any(np.array_equal(before[name], value) for name, value in after.items())


def test_a_run_saves_by_its_clock_and_keeps_as_many_as_it_was_told(decayed, overfitted):
    assert saved_steps(decayed) == [8, 7, 6, 5, 4, 3]
    assert saved_steps(overfitted[1]) == [EPOCHS]  # Its next save would be due in 30 years.


EPOCHS = 12


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A run of one step an epoch over 4 captions, validated on a word that none of them has."""
    folder = tmp_path_factory.mktemp("overfitted")
    dataset = features_of(folder / "data", {"train": 4, "val": 1}, 1)
    config = experiment(dataset, {"learning_rate": 0.4, "schedule": "constant"}, EPOCHS)
    train(config, str(folder / "run"))
    return config, folder / "run"


def best_step(workdir):
    return checkpoint_files.step_of(checkpoints.find_checkpoint(str(workdir)))


def test_the_best_checkpoint_is_of_the_best_validation_whatever_the_training_loss(overfitted):
    _, workdir = overfitted
    validations, losses = ([row["loss"] for row in rows(workdir, kind)] for kind in ("val", "train"))
    best = int(np.argmin(validations))
    assert 0 < best < EPOCHS - 1 == int(np.argmin(losses))
    assert best_step(workdir) == best + 1


def longer(config, epochs, **training):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, num_epochs=epochs, **training))


def test_a_resumed_run_knows_how_good_its_best_was(overfitted, tmp_path):
    config, workdir = overfitted
    resumed = shutil.copytree(workdir, tmp_path / "run")
    train(longer(config, EPOCHS + 2), str(resumed))
    assert len(rows(resumed, "val")) == EPOCHS + 2
    assert best_step(resumed) == best_step(workdir)


def test_a_run_s_seed_draws_its_first_weights(overfitted):
    config, _ = overfitted

    def kernel(seed):
        seeded = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
        return build_captioner(seeded, VOCABULARY, None, (4,)).decoder.variables["lstm/kernel"].numpy()

    assert np.array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))


def test_another_seed_takes_the_examples_in_another_order(decayed, tmp_path):
    # The same weights at every step of both runs and no dropout: a step's loss is that of its examples. No buffer:
    # TensorFlow's own seed decides its order as well.
    dataset = features_of(tmp_path / "data", {"train": 8, "val": 1}, 2)
    losses = []
    for seed in (1, 2):
        config = experiment(
            dataset,
            {"learning_rate": STANDING_STILL, "schedule": "constant"},
            epochs=1,
            start_from=str(decayed),
            seed=seed,
        )
        config = dataclasses.replace(config, input=dataclasses.replace(config.input, shuffle_buffer_examples=1))
        train(config, str(tmp_path / f"run{seed}"))
        losses.append([row["loss"] for row in rows(tmp_path / f"run{seed}", "train")])
    assert losses[0] != losses[1]


def test_dropout_is_drawn_anew_for_every_step_and_seed(decayed, tmp_path):
    # One caption, the same weights at every step of both runs: nothing but dropout can tell their losses apart.
    dataset = features_of(tmp_path / "data", {"train": 1, "val": 1}, 1)
    losses = []
    for seed in (1, 2):
        config = experiment(
            dataset,
            {"learning_rate": STANDING_STILL, "schedule": "constant"},
            epochs=4,
            batch_size=1,
            decoder={"output_dropout_rate": 0.5, "input_dropout_rate": 0.5},
            start_from=str(decayed),
            seed=seed,
            eval_every_epochs=4.0,
        )
        train(config, str(tmp_path / f"run{seed}"))
        losses += [row["loss"] for row in rows(tmp_path / f"run{seed}", "train")]
    assert len(set(losses)) == 8
