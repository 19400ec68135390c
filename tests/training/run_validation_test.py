"""Validation by captions, and samples of them, in whole runs on a tiny data set."""

import dataclasses
import io
import json
import os
import pathlib
import signal

import numpy as np
import pytest
import tensorflow as tf
from fakes import jpeg, write_dataset
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
from im2txt.inference.scoring import score_run
from im2txt.runs import checkpoints
from im2txt.runs.sample_captions import read_samples
from im2txt.training.train_step import Trainer
from im2txt.training.training_run import train

VAL_IMAGES = 7


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Feature shards of 12 + 7 photographs; the photographs themselves are nowhere."""
    images = {"train": 12, "val": VAL_IMAGES}
    dataset = write_dataset(tmp_path_factory.mktemp("features"), images, (3, 2), feature_size=6)
    tf.train.Checkpoint(model={"layer": {"kernel": tf.Variable([1.0])}}).write(f"{dataset.data_dir}/encoder")
    return dataset


def experiment(dataset, **training):
    defaults = {
        "num_epochs": 6.0,
        "steps_per_call": 3,
        "log_every_steps": 5,
        "checkpoint_every_secs": 1e9,
        "caption_every_epochs": 2.0,
        "sample_images": 2,
    }
    return ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir, batch_size=4, shuffle_buffer_examples=10, bucketing_batches=2),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(embedding_size=8, num_lstm_units=8),
        optimization=OptimizationConfig(optimizer="adam", learning_rate=0.1, schedule="constant", ema_decay=0.8),
        decoding=DecodingConfig(beam_size=2),
        training=TrainingConfig(**(defaults | training)),
    )


def rows(workdir, figure):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        written = [json.loads(line) for line in file]
    return {row["step"]: row[figure] for row in written if row["kind"] == "val" and figure in row}


def score(workdir, output_dir, **decoding):
    model = Model((workdir,), tuple(decoding.items()), batch_size=5, num_threads=0)
    return score_run(model, "val", str(output_dir), "", LocalEngine(1), Extras())


@pytest.fixture(scope="module")
def by_cider(features, tmp_path_factory):
    """A run of 45 steps whose best checkpoint is chosen by CIDEr-D."""
    workdir = str(tmp_path_factory.mktemp("by_cider"))
    train(experiment(features, best_by="cider", caption_every_epochs=0.5), workdir)
    return workdir


def test_the_best_checkpoint_by_cider_is_the_first_with_the_highest_and_scores_it_again(by_cider, tmp_path):
    found = rows(by_cider, "CIDEr-D")
    assert list(found) == [4, 8, 12, 15, 19, 23, 27, 30, 34, 38, 42, 45]  # Every 3.75 steps.
    assert list(rows(by_cider, "loss")) == [8, 15, 23, 30, 38, 45]
    assert max(found.values()) > min(found.values()) >= 0
    best = max(found, key=lambda step: (found[step], -step))
    assert checkpoints.find_checkpoint(by_cider).endswith(f"ckpt-{best}")
    scores = score(by_cider, tmp_path, beam_size=1)
    assert scores["step"] == best
    assert found[best] == pytest.approx(scores["scores"]["CIDEr-D"], rel=1e-9)


def test_samples_are_what_the_runs_own_decoding_says_of_the_same_photographs_at_each_validation(features, tmp_path):
    workdir = str(tmp_path / "run")
    train(experiment(features, num_epochs=1.0), workdir)
    (step,), (samples,) = read_samples(workdir).keys(), read_samples(workdir).values()
    assert step == 8
    score(workdir, tmp_path / "scores")
    expected = {
        entry["image_id"]: (entry["file_name"], entry["captions"][0]["caption"])
        for entry in json.loads((tmp_path / "scores" / "candidates.json").read_text())
    }
    assert [(sample.file_name, sample.caption) for sample in samples] == [
        expected[sample.image_id] for sample in samples
    ]
    assert len({sample.image_id for sample in samples}) == 2


def test_samples_of_a_run_are_of_the_same_photographs_all_along(by_cider):
    by_step = read_samples(by_cider)
    assert list(by_step) == [8, 15, 23, 30, 38, 45]
    assert len({tuple(sample.image_id for sample in samples) for samples in by_step.values()}) == 1
    assert len({tuple(sample.caption for sample in samples) for samples in by_step.values()}) > 1


def test_features_without_their_photographs_show_samples_as_text(by_cider):
    shown = EventAccumulator(os.path.join(by_cider, "tensorboard")).Reload()
    assert shown.Tags()["images"] == []
    for sample in read_samples(by_cider)[45]:
        events = shown.Tensors(f"samples/{sample.file_name}")
        assert [event.step for event in events] == [8, 15, 23, 30, 38, 45]
        assert events[-1].tensor_proto.string_val[0].decode() == sample.caption
    assert [event.step for event in shown.Scalars("val/CIDEr-D")] == list(rows(by_cider, "CIDEr-D"))


def test_a_killed_and_resumed_run_has_the_rows_of_an_uninterrupted_one(features, by_cider, tmp_path):
    train_steps = Trainer.train_steps

    def killed(trainer, batches, num_steps):
        if trainer.step >= 24:
            raise RuntimeError("killed")
        metrics = train_steps(trainer, batches, num_steps)
        if 9 <= trainer.step < 12:
            os.kill(os.getpid(), signal.SIGTERM)  # Saved here, in the first of three starts.
        return metrics

    config, workdir = experiment(features, best_by="cider", caption_every_epochs=0.5), str(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_steps", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, workdir)
        with pytest.raises(RuntimeError, match="killed"):
            train(config, workdir)
    # What a killed process wrote past its last checkpoint is there, and must not stay beside what follows.
    assert max(read_samples(workdir)) == 23
    train(config, workdir)
    for name in ("loss", "CIDEr-D"):
        assert rows(workdir, name) == rows(by_cider, name)
    assert (tmp_path / "samples.jsonl").read_bytes() == pathlib.Path(by_cider, "samples.jsonl").read_bytes()
    best = [os.path.relpath(checkpoints.find_checkpoint(run), run) for run in (workdir, by_cider)]
    assert best[0] == best[1]


def test_photographs_are_shown_above_their_captions(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 4, "val": 3}, (2,))
    config = experiment(dataset, num_epochs=1.0, sample_images=9)
    encoder = dataclasses.replace(config.encoder, image_size=16)
    train(dataclasses.replace(config, encoder=encoder), str(tmp_path / "run"))
    samples = read_samples(str(tmp_path / "run"))[2]
    assert sorted(sample.file_name for sample in samples) == ["4.jpg", "5.jpg", "6.jpg"]
    shown = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert sorted(shown.Tags()["images"]) == ["samples/4.jpg", "samples/5.jpg", "samples/6.jpg"]
    (event,) = shown.Images("samples/5.jpg")
    assert (event.step, event.width) == (2, 480)
    picture = np.asarray(tf.io.decode_png(event.encoded_image_string))
    expected = Image.open(io.BytesIO(jpeg(5))).resize((480, 360))
    assert np.abs(picture[:360].astype(int) - np.asarray(expected)).mean() < 2
    assert event.height > 360


def test_replicas_find_the_captions_of_one_device(features, by_cider, tmp_path):
    config = experiment(features, best_by="cider", caption_every_epochs=0.5)
    # No dropout: its masks differ from replica to replica.
    decoder = dataclasses.replace(config.decoder, input_dropout_rate=0.0, output_dropout_rate=0.0)
    config = dataclasses.replace(config, decoder=decoder)
    train(config, str(tmp_path / "one"))
    spread = dataclasses.replace(config.training, distribution="mirrored", logical_devices=2)
    train(dataclasses.replace(config, training=spread), str(tmp_path / "two"))
    assert rows(tmp_path / "two", "CIDEr-D") == pytest.approx(rows(tmp_path / "one", "CIDEr-D"), rel=1e-6)
    assert read_samples(str(tmp_path / "two")) == read_samples(str(tmp_path / "one"))


def test_samples_are_off_with_0(features, tmp_path):
    train(experiment(features, num_epochs=1.0, sample_images=0, caption_every_epochs=0.0), str(tmp_path))
    assert not (tmp_path / "samples.jsonl").exists()
    assert rows(tmp_path, "CIDEr-D") == {}


def test_a_run_stops_early_by_the_figure_that_decides(features, tmp_path, capsys):
    # With a rate of 0 every validation is like the first.
    config = experiment(
        features,
        best_by="cider",
        caption_every_epochs=0.5,
        eval_every_epochs=9.0,
        early_stopping_evaluations=2,
        sample_images=0,
    )
    still = dataclasses.replace(config.optimization, learning_rate=1e-30)
    train(dataclasses.replace(config, optimization=still), str(tmp_path))
    assert list(rows(tmp_path, "CIDEr-D")) == [4, 8, 12]
    assert "No better validation in 2: stopping early." in capsys.readouterr().out


def test_captions_cannot_be_scored_without_references(features, tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 12, "val": 3}, (2,), feature_size=6)
    os.remove(f"{dataset.data_dir}/captions_val.json")
    with pytest.raises(FileNotFoundError, match=r"captions_val\.json: scoring needs"):
        train(experiment(dataset), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_best_by_captions_needs_validations_by_captions():
    with pytest.raises(ValueError, match=r"training\.best_by='cider'.*caption_every_epochs"):
        TrainingConfig(best_by="cider")
