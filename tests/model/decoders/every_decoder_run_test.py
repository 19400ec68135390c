"""What a run does with its decoder, of every decoder: it goes on after a stop, starts another run, and is exported."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from fakes import VOCABULARY, jpeg, one_layer_small_cnn, step_by_step, write_dataset
from tiny_decoders import tiny_config

from im2txt.configuration import EncoderConfig, ExperimentConfig, InputConfig, OptimizationConfig, TrainingConfig
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.saved_model import export_run
from im2txt.model.decoders.registry import DECODERS
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints
from im2txt.runs.frozen_encoder import keep_encoder
from im2txt.runs.initial_weights import load_initial_weights
from im2txt.runs.run_folder import build_captioner, start_run
from im2txt.text.vocabulary import Vocabulary
from im2txt.training.optimization import Optimizer
from im2txt.training.run_checkpoints import RunCheckpoints
from im2txt.training.strategies import build_distribution
from im2txt.training.train_step import Trainer

every_decoder = pytest.mark.parametrize("name", DECODERS)
WORDS = len(VOCABULARY)
# As `build_shards --extend_vocabulary` writes it: <UNK> keeps its id, new words follow.
MORE_WORDS = Vocabulary([*zip(VOCABULARY.words, VOCABULARY.counts, strict=True), ("sits", 2), ("jumps", 1)])
ADAM = OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="constant")


@pytest.fixture(scope="module", autouse=True)
def _one_layer():
    with one_layer_small_cnn():
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 2, "val": 2}, (2,), shards_per_split=1)


def experiment(name, dataset, **rates):
    pooling = "avg" if 1 in DECODERS[name].feature_ranks else "grid"
    return ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir),
        encoder=EncoderConfig("SmallCNN", "none", image_size=16, pooling=pooling),
        decoder=tiny_config(name, **rates),
        optimization=ADAM,
        training=TrainingConfig(num_epochs=1),
    )


def build(config, encoder=None, words=VOCABULARY, seed=1):
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
    shape = (4,) if config.encoder.feature_rank == 1 else (9, 4)
    return build_captioner(config, words, encoder, shape, np.ones(len(words)))


def write_run(workdir, config, dataset):
    """A run that was not trained, with its encoder; returns its captioner."""
    start_run(workdir, config, dataset.manifest, VOCABULARY)
    encoder = ImageEncoder(config.encoder)
    keep_encoder(workdir, encoder, "none")
    captioner = build(config, encoder)
    for variable in captioner.variables.values():
        variable.assign(variable * 3.0)  # So that photographs are told apart.
    checkpoints.write_best(workdir, captioner.variables, 7)
    return captioner


def batch(config):
    shape = (2, 4) if config.encoder.feature_rank == 1 else (2, 9, 4)
    ids = np.random.default_rng(1).integers(0, WORDS, (2, 2, 5)).astype(np.int32)
    return {
        "features": np.random.default_rng(0).normal(size=shape).astype(np.float32),
        "input_ids": ids[0],
        "target_ids": ids[1],
        "mask": np.arange(5) < np.array([[5], [3]]),
    }


@step_by_step()
@every_decoder
def test_a_stopped_run_goes_on_to_the_same_weights(name, dataset, tmp_path):
    rates = [field.name for field in dataclasses.fields(tiny_config(name)) if field.name.endswith("dropout_rate")]
    config = experiment(name, dataset, **dict.fromkeys(rates, 0.3))
    strategy = build_distribution(config.training).strategy

    def trainer(seed):
        captioner = build(config, seed=seed)
        optimizer = Optimizer(ADAM, captioner.trainable_variables, 0)
        return Trainer(strategy, captioner, optimizer, lambda step: tf.constant(0.01), ADAM, seed=1)

    batches = tf.data.Dataset.from_tensors(batch(config)).repeat()
    whole, first, second = trainer(1), trainer(1), trainer(2)
    whole.train_steps(iter(batches), 2)
    first.train_steps(iter(batches), 1)
    RunCheckpoints(str(tmp_path), first, 1, {}).save()
    RunCheckpoints(str(tmp_path), second, 1, {}).restore()
    assert second.step == 1
    second.train_steps(iter(batches), 1)
    for key, variable in whole.captioner.variables.items():
        np.testing.assert_array_equal(second.captioner.variables[key], variable, err_msg=key)
        assert np.any(variable != first.captioner.variables[key]), key


@every_decoder
def test_another_run_starts_with_its_weights_also_on_more_words(name, dataset, tmp_path):
    config = experiment(name, dataset)
    before = write_run(str(tmp_path), config, dataset)
    features = {"features": tf.constant(batch(config)["features"])}
    probabilities = []
    for words in (VOCABULARY, MORE_WORDS):
        captioner = build(config, words=words, seed=2)
        load_initial_weights(str(tmp_path), captioner, words, config.encoder, dataset.manifest)
        assert captioner.vocab_size == len(words)
        state, step = captioner.start(features, 3)
        log_probs, _ = step(tf.constant([1, 3]), state)
        probabilities.append(np.exp(log_probs))
    state, step = before.start(features, 3)
    expected = np.exp(step(tf.constant([1, 3]), state)[0])
    np.testing.assert_array_equal(probabilities[0], expected)
    # The unknown word shares what it had with the new ones.
    known = np.arange(WORDS) != VOCABULARY.unknown_id
    np.testing.assert_allclose(probabilities[1][:, :WORDS][:, known], expected[:, known], rtol=1e-5)
    assert probabilities[1].shape == (2, len(MORE_WORDS))


@every_decoder
def test_its_export_captions_as_the_run_does(name, dataset, tmp_path):
    write_run(str(tmp_path / "run"), experiment(name, dataset), dataset)
    photographs = [jpeg(seed) for seed in (1, 2)]
    decoding = {"beam_size": 2, "max_caption_length": 5}
    export_run(str(tmp_path / "run"), str(tmp_path / "exported"), decoding)
    signature = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    found = signature(encoded_images=tf.constant(photographs))
    with step_by_step():
        results = PhotographCaptioner.load(str(tmp_path / "run"), **decoding)(photographs)
    for row, result in enumerate(results):
        count = len(result.candidates)
        captions = [caption.decode() for caption in found["captions"][row, :count].numpy()]
        assert captions == [candidate.caption for candidate in result.candidates]
        np.testing.assert_allclose(found["log_probs"][row, :count], [c.log_prob for c in result.candidates], rtol=1e-4)
