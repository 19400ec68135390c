"""A run that the first version left must load, caption to the same words and go on, for ever."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from im2txt.runs import run_folder

GOLDEN = Path(__file__).parent.parent / "golden_run"
CAPTIONS = ["a", "cat cat", "dog dog dog", "red red red red", "runs", "a a", "cat cat cat", "dog dog dog dog"]


@pytest.fixture
def golden(tmp_path):
    """A copy: the run, and its shards, which thereby lie elsewhere than when it was started."""
    shutil.copytree(GOLDEN, tmp_path / "golden_run")
    return tmp_path / "golden_run"


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_its_configuration_means_what_it_meant():
    config = run_folder.read_run_config(str(GOLDEN / "run"))
    assert "format_version" not in json.loads((GOLDEN / "run" / "config.json").read_text())
    assert (config.decoder.num_lstm_units, config.optimization.optimizer, config.training.seed) == (6, "adam", 1)
    assert (config.decoding.method, config.decoding.beam_size, config.decoding.min_caption_length) == ("beam", 2, 2)


def run(monkeypatch, module, *flags):
    """Runs a command as a user of today does."""
    monkeypatch.setattr(sys, "argv", [module, *flags])
    importlib.import_module(module).main()


def test_it_captions_to_the_same_words(golden, tmp_path, monkeypatch):
    flags = ["--split=train", f"--data_dir={golden}/shards", f"--output_dir={tmp_path}/out"]
    run(monkeypatch, "im2txt.evaluate", f"--workdir={golden}/run", *flags)
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["step"] == 300
    assert scores["perplexity"] == pytest.approx(1.0801512, rel=1e-3)  # As it wrote in its metrics then.
    captions = json.loads((tmp_path / "out" / "captions.json").read_text())
    assert {entry["image_id"]: entry["caption"] for entry in captions} == dict(enumerate(CAPTIONS))


def test_it_goes_on_where_it_was(golden, monkeypatch, capsys):
    workdir = golden / "run"
    before = rows(workdir)
    shards = f"--config.input.data_dir={golden}/shards"
    flags = [f"--config={workdir}/config.json", shards, "--config.training.num_epochs=152"]
    run(monkeypatch, "im2txt.train", *flags, f"--workdir={workdir}")
    assert "Resuming at step 300 of 304 " in capsys.readouterr().out
    after = rows(workdir)
    assert after[: len(before)] == before
    assert [(row["kind"], row["step"]) for row in after[len(before) :]] == [("train", 304), ("val", 304)]
    assert after[-1]["perplexity"] < 1.2  # It knows its captions still.
    assert json.loads((workdir / "config.json").read_text())["format_version"] > 1
