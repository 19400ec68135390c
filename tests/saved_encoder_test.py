"""A run whose encoder is a saved Keras model: the file stays with the run and its features, and is needed no more."""

import dataclasses
import json

import keras
import pytest
import tensorflow as tf
from fakes import jpeg, step_by_step, write_dataset

from data_prep.features.feature_shards import cache_features
from im2txt.configuration import (
    DecodingConfig,
    EncoderConfig,
    ExperimentConfig,
    InputConfig,
    OptimizationConfig,
    ShowAndTellConfig,
    TrainingConfig,
)
from im2txt.engines.local_engine import LocalEngine
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_model import Model
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.saved_model import export_run
from im2txt.inference.scoring import score_run
from im2txt.runs.run_folder import check_features
from im2txt.shards.shard_folder import ShardFolder
from im2txt.training.training_run import train


def save_network(path, seed=1):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 51, offset=-2.5)(inputs)
    keras.Model(inputs, keras.layers.Conv2D(6, 5, strides=4, activation="tanh")(x)).save(path)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def _step_by_step():
    with step_by_step():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "shards", {"train": 6, "val": 4}, (2,), shards_per_split=1)


def experiment(backbone, data_dir, epochs=0.5, **encoder):
    return ExperimentConfig(
        input=InputConfig(data_dir=str(data_dir), batch_size=3, bucketing_batches=2, distort_images=False),
        encoder=EncoderConfig(backbone=backbone, crop_fraction=0.9, pooling="flatten", **encoder),
        decoder=ShowAndTellConfig(embedding_size=8, num_lstm_units=8, initializer_scale=1.0, image_input="every_step"),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.01, schedule="constant"),
        training=TrainingConfig(num_epochs=epochs, log_every_steps=5, sample_images=0),
        decoding=DecodingConfig(beam_size=2, max_caption_length=7),
    )


@pytest.mark.parametrize("kind", ["photographs", "features", "trained"])
def test_a_run_needs_the_original_file_no_more(data, tmp_path, kind):
    backbone, workdir, data_dir = save_network(tmp_path / "net.keras"), str(tmp_path / "run"), data.data_dir
    config = experiment(backbone, data_dir, trainable=kind == "trained")
    if kind == "features":
        data_dir = str(tmp_path / "features")
        entry = cache_features(data.data_dir, data_dir, config.encoder, 4, 1).encoder
        assert (entry.backbone, entry.weights, entry.image_size) == ("net.keras", "net.keras", 16)
        config = experiment(backbone, data_dir)
    train(config, workdir)
    (tmp_path / "net.keras").rename(tmp_path / "moved.keras")

    longer = experiment(backbone, data_dir, epochs=1.0, trainable=kind == "trained")
    train(longer, workdir)
    photographs = [jpeg(6 + i) for i in range(4)]
    of_files = [result.candidates[0].words for result in PhotographCaptioner.load(workdir)(photographs)]
    model = Model((workdir,), (), batch_size=4, num_threads=0)
    for directory in {data_dir, data.data_dir}:
        score_run(model, "val", str(tmp_path / "scores"), directory, LocalEngine(1), Extras())
        captions = json.loads((tmp_path / "scores" / "captions.json").read_text())
        assert [row["caption"] for row in captions] == of_files
    if kind == "photographs":
        export_run(workdir, str(tmp_path / "exported"), {})
        signature = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
        assert signature(encoded_images=tf.constant(photographs))["captions"].shape == (4, 2)
        assert "net.keras, frozen" in (tmp_path / "exported" / "model_card.md").read_text()


def test_another_file_under_a_run_is_refused_and_a_moved_one_taken(data, tmp_path):
    workdir = str(tmp_path / "run")
    train(experiment(save_network(tmp_path / "net.keras"), data.data_dir, 0.25), workdir)
    (tmp_path / "net.keras").rename(tmp_path / "moved.keras")
    train(experiment(str(tmp_path / "moved.keras"), data.data_dir, 0.5), workdir)
    other = save_network(tmp_path / "net.keras", seed=2)
    with pytest.raises(ValueError, match=f"^encoder.backbone='{other}' is not the file that the run in {workdir} was"):
        train(experiment(other, data.data_dir, 1.0), workdir)


def test_features_are_tied_to_the_file_and_keep_it(data, tmp_path):
    backbone, folder = save_network(tmp_path / "net.keras"), tmp_path / "features"
    encoder = experiment(backbone, "").encoder
    cache_features(data.data_dir, str(folder), encoder, 4, 1)
    with open(backbone, "rb") as file:
        assert (folder / "encoder.keras").read_bytes() == file.read()
    entry = ShardFolder.open(str(folder)).manifest.encoder
    check_features(entry, dataclasses.replace(encoder, backbone="/elsewhere/net.keras"))
    with pytest.raises(ValueError, match="backbone is 'net.keras', not 'other.keras'"):
        check_features(entry, dataclasses.replace(encoder, backbone="/elsewhere/other.keras"))
    (folder / "encoder.keras").unlink()
    cache_features(data.data_dir, str(folder), encoder, 4, 1)
    assert (folder / "encoder.keras").exists()
    with pytest.raises(ValueError, match="holds a finished set of other features, which differ in weights_sha256"):
        cache_features(
            data.data_dir, str(folder), dataclasses.replace(encoder, backbone=save_network(backbone, 2)), 4, 1
        )
