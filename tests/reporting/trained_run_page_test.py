"""The page and TensorBoard of a run that the command has trained, as people see them."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import browser
import pytest
from browser import Browser
from fakes import write_dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from im2txt import report

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = (
    "--config=scenes",
    "--config.encoder.image_size=16",
    "--config.decoder.embedding_size=8",
    "--config.decoder.num_lstm_units=8",
    "--config.input.batch_size=4",
    "--config.optimization.warmup_steps=0",
    "--config.training.num_epochs=3",
    "--config.training.eval_every_epochs=2.25",
    "--config.training.caption_every_epochs=1.5",
    "--config.training.sample_images=2",
    "--profile_steps=4:6",
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of 12 steps on photographs, validated after 9 and 12, and by captions after 6 and 12."""
    folder = tmp_path_factory.mktemp("trained")
    dataset = write_dataset(folder / "data", {"train": 16, "val": 70}, (2,))
    flags = [*FLAGS, f"--config.input.data_dir={dataset.data_dir}", f"--workdir={folder}/run"]
    done = subprocess.run(
        [sys.executable, "-m", "im2txt.train", *flags], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return folder / "run"


def samples(workdir: pathlib.Path) -> dict[int, dict[str, str]]:
    rows = [json.loads(line) for line in (workdir / "samples.jsonl").read_text().splitlines()]
    return {row["step"]: {sample["file_name"]: sample["caption"] for sample in row["samples"]} for row in rows}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)
def test_the_page_shows_curves_and_what_was_said_at_each_validation(workdir: pathlib.Path, window: Browser) -> None:
    report.main([f"--workdir={workdir}"])
    window.open(workdir / "report.html")
    written = samples(workdir)
    assert list(written) == [9, 12]
    tables = window.run(
        "[...document.querySelectorAll('table')].map((table) => [...table.rows].map((row) =>"
        " [...row.cells].map((cell) => cell.textContent.trim())))"
    )
    names = list(written[9])
    (table,) = [table for table in tables if set(names) <= set(table[0])]
    shown = [row for row in table if row[0] in ("9", "12")]
    assert {int(row[0]): row[-len(names) :] for row in shown} == {
        step: [said[name] for name in names] for step, said in written.items()
    }
    headings = window.run("document.body.textContent")
    for title in ("CIDEr-D", "Loss", "Learning rate", "Captions per second"):
        assert title in headings
    assert window.messages == []


def test_tensorboard_has_the_curves_as_scalars_and_the_photographs_with_their_captions(workdir: pathlib.Path) -> None:
    shown = EventAccumulator(str(workdir / "tensorboard")).Reload()
    assert {"train/loss", "train/learning_rate", "val/loss", "val/CIDEr-D"} <= set(shown.Tags()["scalars"])
    assert [event.step for event in shown.Scalars("val/CIDEr-D")] == [6, 12]
    names = samples(workdir)[12]
    assert sorted(shown.Tags()["images"]) == sorted(f"samples/{name}" for name in names)
    for name in names:
        assert [event.step for event in shown.Images(f"samples/{name}")] == [9, 12]


def test_the_profile_lies_beside_tensorboards_figures(workdir: pathlib.Path) -> None:
    profiles = list((workdir / "tensorboard" / "plugins" / "profile").rglob("*.xplane.pb"))
    assert len(profiles) == 1
    assert profiles[0].stat().st_size > 1000
