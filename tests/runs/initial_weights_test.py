"""Runs that start with another's weights: on the same words, on more words, and where that makes no sense."""

import dataclasses
import json
from pathlib import Path

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
from im2txt.runs.initial_weights import load_initial_weights
from im2txt.runs.run_folder import build_captioner, load_run
from im2txt.text.vocabulary import Vocabulary
from im2txt.training.training_run import train

OLD_WORDS = Vocabulary([("a", 30), ("<S>", 20), ("</S>", 20), ("cat", 9), ("dog", 8), ("red", 5)])
# As `build_shards --extend_vocabulary` writes it: <UNK> keeps its id, new words follow.
NEW_WORDS = Vocabulary([*zip(OLD_WORDS.words, OLD_WORDS.counts, strict=True), ("runs", 2), ("sits", 1)])
UNKNOWN = OLD_WORDS.unknown_id


def experiment(dataset, **sections):
    config = ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir, batch_size=4, shuffle_buffer_examples=10, bucketing_batches=2),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(embedding_size=8, num_lstm_units=8),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="constant"),
        training=TrainingConfig(num_epochs=4, log_every_steps=5, eval_every_epochs=100, sample_images=0),
    )
    changed = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **changed)


def features(folder, vocabulary):
    """Feature shards in whose captions `runs` is a word or `<UNK>`, as the vocabulary has it."""
    dataset = write_dataset(folder, {"train": 12, "val": 4}, (3, 2), feature_size=6, vocabulary=vocabulary)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A dataset of the old words, and a run trained on it with a row to spare."""
    dataset = features(tmp_path_factory.mktemp("old"), OLD_WORDS)
    workdir = str(tmp_path_factory.mktemp("run"))
    train(experiment(dataset, decoder={"vocab_size": len(OLD_WORDS) + 1}), workdir)
    return dataset, workdir


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return features(tmp_path_factory.mktemp("new"), NEW_WORDS)


def started(old, dataset, words, vocab_size=0):
    """A new captioner with the run's weights, and the run's own."""
    config = experiment(dataset, decoder={"vocab_size": vocab_size})
    captioner = build_captioner(config, words, None, (6,))
    load_initial_weights(old[1], captioner, words, config.encoder, dataset.manifest)
    return captioner, load_run(old[1], old[0].manifest).captioner


def next_probs(captioner, word_id):
    state, step = captioner.start({"features": tf.fill([1, 6], 3.0)}, 1)
    log_probs, _ = step(tf.constant([word_id]), state)
    return np.exp(log_probs[0].numpy().astype(np.float64))


@pytest.mark.parametrize("vocab_size", [0, 12])
def test_old_words_keep_their_ids_and_probabilities_and_new_ones_share_the_unknown_word_s(old, new, vocab_size):
    captioner, before = started(old, new, NEW_WORDS, vocab_size)
    assert captioner.vocab_size == (vocab_size or len(NEW_WORDS))
    for word_id in range(len(OLD_WORDS)):
        was, now = next_probs(before, word_id), next_probs(captioner, word_id)
        was, now = was[: len(OLD_WORDS)], now / now.sum()
        # The old row to spare is gone: another word stands in its place.
        was = was / was.sum()
        kept = np.delete(np.arange(len(OLD_WORDS)), UNKNOWN)
        np.testing.assert_allclose(now[kept], was[kept], rtol=1e-5)
        shared = now[[UNKNOWN, *range(len(OLD_WORDS), len(now))]]
        np.testing.assert_allclose(shared, was[UNKNOWN] / len(shared), rtol=1e-5)
    as_unknown = [next_probs(captioner, word_id) for word_id in (UNKNOWN, *range(len(OLD_WORDS), len(NEW_WORDS)))]
    np.testing.assert_allclose(as_unknown[1:], as_unknown[:1] * 2, rtol=1e-6)


def test_the_same_words_start_with_the_same_model(old):
    captioner, before = started(old, old[0], OLD_WORDS, len(OLD_WORDS) + 1)
    for name, variable in captioner.variables.items():
        np.testing.assert_array_equal(variable, before.variables[name], err_msg=name)


def test_training_goes_on_with_new_words(old, new, tmp_path, capsys):
    config = experiment(new, training={"start_from": old[1], "num_epochs": 8.0})
    train(config, str(tmp_path))
    assert "Starting at step 0" in capsys.readouterr().out
    run = load_run(str(tmp_path), new.manifest)
    assert run.vocabulary.words == NEW_WORDS.words
    rows = [json.loads(line) for line in Path(tmp_path, "metrics.jsonl").read_text().splitlines()]
    start, end = rows[0]["loss"], rows[-1]["loss"]
    assert end < start
    # `runs` stands in the captions, `sits` does not: they began alike.
    runs, sits = (NEW_WORDS.word_to_id(word) for word in ("runs", "sits"))
    bias = run.captioner.decoder.variables["logits/bias"].numpy()
    assert bias[runs] > bias[sits]


def test_a_trained_encoder_s_weights_come_along(tmp_path):
    dataset = write_dataset(tmp_path / "shards", {"train": 4, "val": 2}, (2,))
    small = {"encoder": {"image_size": 32, "trainable": True}, "training": {"num_epochs": 0.5}}
    train(experiment(dataset, **small), str(tmp_path / "first"))
    frozen = {
        "encoder": {"image_size": 32},
        "training": {"num_epochs": 0.5, "start_from": str(tmp_path / "first"), "seed": 5},
    }
    train(experiment(dataset, **frozen), str(tmp_path / "second"))
    first, second = (load_run(str(tmp_path / name)).captioner.encoder.variables for name in ("first", "second"))
    for name, variable in first.items():
        np.testing.assert_array_equal(variable, second[name], err_msg=name)


def test_what_is_another_model_is_refused(old, new, tmp_path):
    def start(words=OLD_WORDS, dataset=old[0], encoder=None, decoder=None, workdir=old[1]):
        config = experiment(dataset, encoder=encoder or {}, decoder={"vocab_size": 7} | (decoder or {}))
        captioner = build_captioner(config, words, None, (6,))
        load_initial_weights(workdir, captioner, words, config.encoder, dataset.manifest)

    start()
    other_order = Vocabulary([("<S>", 20), ("a", 30), ("</S>", 20), ("cat", 9), ("dog", 8), ("red", 5)])
    with pytest.raises(ValueError, match=r"does not begin with the 7 words .*--extend_vocabulary"):
        start(words=other_order)
    with pytest.raises(ValueError, match=r"in another way: encoder\.resize is 'legacy', there 'half_pixel'.*--config="):
        start(encoder={"resize": "legacy"})
    with pytest.raises(ValueError, match=r"logits/kernel .* has shape \[8, 7\], the new decoder's"):
        start(decoder={"num_lstm_units": 9})
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        start(workdir=str(tmp_path))


def test_a_vocabulary_larger_than_the_table_is_refused(new):
    with pytest.raises(ValueError, match=r"decoder\.vocab_size=8: the vocabulary has 9 words"):
        build_captioner(experiment(new, decoder={"vocab_size": 8}), NEW_WORDS, None, (6,))
