"""A run scored on a split, checked against its parts computed alone."""

import json
import math
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from fakes import VOCABULARY, write_dataset

from im2txt.configuration import EncoderConfig, ExperimentConfig, InputConfig, ShowAndTellConfig
from im2txt.engines.local_engine import LocalEngine
from im2txt.inference import scoring
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_files import read_results
from im2txt.inference.caption_folder import caption_files
from im2txt.inference.caption_model import Model
from im2txt.metrics.caption_metrics import score_captions
from im2txt.runs import checkpoints, run_folder
from im2txt.shards.references import read_references
from im2txt.shards.shard_folder import ShardFolder

FEATURE_SIZE = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 2, "test": 7}, (3, 1), feature_size=FEATURE_SIZE)


@pytest.fixture(scope="module")
def workdir(dataset, tmp_path_factory):
    """A run of random weights, large enough to tell photographs apart; nothing is trained."""
    directory = str(tmp_path_factory.mktemp("run"))
    config = ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir),
        encoder=EncoderConfig(backbone="SmallCNN", weights="none", crop_fraction=1.0),
        decoder=ShowAndTellConfig(embedding_size=6, num_lstm_units=6, initializer_scale=1.0),
    )
    run_folder.start_run(directory, config, dataset.manifest, VOCABULARY)
    captioner = run_folder.build_captioner(config, VOCABULARY, None, (FEATURE_SIZE,))
    checkpoints.write_best(directory, captioner.variables, 17)
    return directory


def score(workdir, output_dir, data_dir="", batch_size=3, num_workers=1):
    model = Model((str(workdir),), (("beam_size", 2),), batch_size, num_threads=0)
    return scoring.score_run(model, "test", str(output_dir), data_dir, LocalEngine(num_workers), Extras())


@pytest.fixture(scope="module")
def result(workdir):
    return score(workdir, os.path.join(workdir, "evaluation", "test"))


def written(workdir, name):
    with open(os.path.join(workdir, "evaluation", "test", name)) as file:
        return json.load(file)


def test_every_photograph_is_captioned_once(dataset, workdir, result):
    ids = [row["image_id"] for row in written(workdir, "captions.json")]
    assert sorted(ids) == sorted(dataset.caption_ids["test"])
    assert result["num_images"] == 7
    assert result["step"] == 17
    assert result["beam_size"] == 2
    assert all(len(row["captions"]) == 2 for row in written(workdir, "candidates.json"))


def test_scores_are_those_of_the_written_captions(dataset, workdir, result):
    captions = {row["image_id"]: row["caption"] for row in written(workdir, "captions.json")}
    references = read_references(dataset.data_dir, "test").captions
    assert result["scores"] == score_captions(captions, references)
    assert written(workdir, "scores.json")["scores"] == pytest.approx(result["scores"])
    best = {row["image_id"]: row["captions"][0]["words"] for row in written(workdir, "candidates.json")}
    assert best == captions


def test_perplexity_counts_every_caption_once(dataset, workdir, result):
    decoder = run_folder.load_run(workdir, dataset.manifest).captioner.decoder
    total, words = 0.0, 0
    for image_id, captions in dataset.caption_ids["test"].items():
        for ids in captions:
            state, fixed = decoder.start(tf.fill([1, FEATURE_SIZE], float(image_id)), 9)
            for before, after in zip(ids[:-1], ids[1:], strict=True):
                logits, state = decoder.step(tf.constant([before]), state, fixed)
                total -= float(tf.nn.log_softmax(logits)[0, after])
                words += 1
    assert math.isclose(result["perplexity"], math.exp(total / words), rel_tol=1e-5)


def test_batch_size_changes_nothing(workdir, result, tmp_path):
    alone = score(workdir, tmp_path, batch_size=1)
    assert alone["scores"] == result["scores"]
    np.testing.assert_allclose(alone["perplexity"], result["perplexity"], rtol=1e-6)


def test_two_processes_write_what_one_writes(workdir, tmp_path):
    contents = []
    for num_workers in (1, 2):
        output = tmp_path / str(num_workers)
        score(workdir, output, batch_size=1, num_workers=num_workers)
        contents.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert len(contents[0]) == 4
    assert contents[0] == contents[1]


def test_features_are_captioned_into_a_folder_as_they_are_scored(dataset, workdir, result, tmp_path):
    model = Model((workdir,), (("beam_size", 2),), 3, 0, dataset.data_dir)
    paths = ShardFolder.open(dataset.data_dir).shard_paths("test")
    manifest = caption_files(paths, str(tmp_path / "out"), "jsonl", model, LocalEngine(1))
    assert (manifest["photographs"], manifest["errors"]) == (7, {})
    expected = {row["image_id"]: row["caption"] for row in written(workdir, "captions.json")}
    assert read_results(str(tmp_path / "out")) == expected
    other = write_dataset(tmp_path / "other", {"test": 2}, feature_size=FEATURE_SIZE + 1, shards_per_split=1)
    (path,) = ShardFolder.open(other.data_dir).shard_paths("test")
    manifest = caption_files([path], str(tmp_path / "none"), "jsonl", model, LocalEngine(1))
    assert manifest["errors"] == {"no_features": 2}


def test_pair_layout_captions_each_photograph_once(workdir, result, tmp_path):
    pairs = write_dataset(tmp_path / "pairs", {"train": 2, "test": 7}, (3, 1), layout="pair", feature_size=FEATURE_SIZE)
    scored = score(workdir, tmp_path, pairs.data_dir, batch_size=4)
    assert scored["scores"] == pytest.approx(result["scores"])
    np.testing.assert_allclose(scored["perplexity"], result["perplexity"], rtol=1e-6)


def test_shards_of_another_vocabulary_are_refused(workdir, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(workdir, other)
    words = (other / "word_counts.txt").read_text()
    (other / "word_counts.txt").write_text(words.replace("cat", "bird"))  # As many, so that the weights fit.
    with pytest.raises(ValueError, match=r"vocabulary .* is not the one of .*--vocabulary_file="):
        score(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json.*is no run of im2txt\.train"):
        score(tmp_path, tmp_path)


def test_photographs_that_the_captions_file_lacks_are_excluded_and_counted(dataset, workdir, tmp_path):
    data_dir = shutil.copytree(dataset.data_dir, tmp_path / "data")
    path = data_dir / "captions_test.json"
    content = json.loads(path.read_text())
    lost = content["images"].pop()["id"]
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] != lost]
    path.write_text(json.dumps(content))
    result = score(workdir, tmp_path / "out", str(data_dir))
    (excluded,) = result["excluded"]
    assert excluded["image_ids"] == [lost]
    assert "not among the references" in excluded["reason"]
    assert result["num_images"] == 6
    assert str(lost) in [entry["file_name"] for entry in json.loads((tmp_path / "out" / "candidates.json").read_text())]
