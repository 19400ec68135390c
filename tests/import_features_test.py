"""NeuralTalk's folder of data, which has no photographs: from its two files to scores, by the commands as typed."""

import importlib
import json
import re
import shutil
import sys

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from fakes import jpeg, step_by_step

from im2txt.runs.run_files import read_run_config
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.tfrecords import read_records
from im2txt.system import command_line

F = 6
SPLITS = ["train"] * 6 + ["val"] * 2 + ["test"] * 2 + ["restval"]
FEATURES = np.random.default_rng(0).normal(size=(F, len(SPLITS))).astype(np.float32)
SMALL = ("--config.decoder.hidden_size=4", "--config.training.num_epochs=1", "--config.input.batch_size=4")


def command(name, *flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *flags])
        try:
            command_line.run(importlib.import_module(name).main)
        except SystemExit as stop:
            if stop.code:
                raise


def record(number, split, **fields):
    sentences = [{"raw": f"A dog sees {word} things.", "tokens": []} for word in ("two", "red", f"{number}")]
    return {"filename": f"{100 + number}_a.jpg", "imgid": number, "split": split, "sentences": sentences} | fields


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flickr8k")
    images = [record(number, split) for number, split in enumerate(SPLITS)]
    (folder / "dataset.json").write_text(json.dumps({"dataset": "flickr8k", "images": images}))
    scipy.io.savemat(folder / "vgg_feats.mat", {"feats": FEATURES})
    return folder


def build(data, output_dir, *flags):
    files = (f"--dataset_file={data}/dataset.json", f"--features_file={data}/vgg_feats.mat")
    command("data_prep.import_features", *files, f"--output_dir={output_dir}", "--min_word_count=1", *flags)
    return ShardFolder.open(str(output_dir))


@pytest.fixture(scope="module")
def shards(data, tmp_path_factory):
    return build(data, tmp_path_factory.mktemp("built") / "shards")


@pytest.fixture(scope="module")
def workdir(shards, tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    flags = (f"--config.input.data_dir={shards.path}", "--config.encoder.backbone=vgg_feats.mat", *SMALL)
    with step_by_step():
        command("im2txt.train", "--config=neuraltalk_lstm", f"--workdir={path}", *flags)
    return str(path)


def test_every_photograph_has_its_column_in_its_split(shards):
    found = {}
    for split in shards.manifest.splits:
        for path in shards.shard_paths(split):
            with open(path, "rb") as file:
                for serialized in read_records(file.read()):
                    context = tf.train.SequenceExample.FromString(serialized).context.feature
                    number = context["image/image_id"].int64_list.value[0] - 100
                    np.testing.assert_array_equal(context["image/features"].float_list.value, FEATURES[:, number])
                    found[number] = split
    assert [found[number] for number in range(len(SPLITS))] == [s.replace("restval", "train") for s in SPLITS]
    assert shards.manifest.encoder.feature_shape == (F,)
    assert shards.read_references("val").captions[106] == [f"A dog sees {w} things." for w in ("two", "red", "6")]
    command("data_prep.verify_data", f"--data_dir={shards.path}")


def test_a_finished_folder_stays_and_other_features_are_refused(data, tmp_path, capsys):
    own = shutil.copytree(data, tmp_path / "data")
    build(own, tmp_path / "shards")
    build(own, tmp_path / "shards")
    assert "already built" in capsys.readouterr().out
    scipy.io.savemat(own / "vgg_feats.mat", {"feats": FEATURES + 1})
    with pytest.raises(SystemExit):
        build(own, tmp_path / "shards")
    assert "holds shards of other photographs" in capsys.readouterr().err


def test_a_run_trains_and_is_scored_on_them(shards, workdir, capsys):
    assert read_run_config(workdir).encoder.backbone == "vgg_feats.mat"
    with step_by_step():
        command("im2txt.evaluate", f"--workdir={workdir}", "--split=test", "--beam_size=2")
    assert "BLEU-4" in capsys.readouterr().out
    command("im2txt.report", f"--workdir={workdir}", "--split=test")
    out = capsys.readouterr()
    assert "came without their photographs" in out.out + out.err


@pytest.mark.parametrize("name", ["run_inference", "export"])
def test_it_says_that_it_cannot_caption_photographs(workdir, tmp_path, capsys, name):
    (tmp_path / "cat.jpg").write_bytes(jpeg(1))
    flags = {"run_inference": [str(tmp_path / "cat.jpg")], "export": [f"--output_dir={tmp_path}/out"]}
    with pytest.raises(SystemExit):
        command(f"im2txt.{name}", f"--workdir={workdir}", *flags[name])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: encoder.backbone='vgg_feats.mat': these features came without the encoder")


def test_another_encoder_is_refused_with_the_flag_that_fits(shards, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command(
            "im2txt.train",
            "--config=neuraltalk_lstm",
            f"--workdir={tmp_path}/run",
            f"--config.input.data_dir={shards.path}",
        )
    assert "--config.encoder.backbone=vgg_feats.mat" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[:-1], "has features of 11 photographs, and .* lists 10: they do not belong together"),
        (lambda images: images[::-1], r"images\[0\]: 'imgid' is 10\. The i-th photograph is column i"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(data, tmp_path, capsys, change, message):
    shutil.copytree(data, tmp_path / "data")
    content = json.loads((data / "dataset.json").read_text())
    content["images"] = change(content["images"])
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit):
        build(tmp_path / "data", tmp_path / "shards")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line)
    assert not (tmp_path / "shards" / "manifest.json").exists()
