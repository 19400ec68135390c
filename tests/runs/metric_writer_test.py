"""Tests of a run's figures, above all after it was interrupted."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from im2txt.runs.metric_writer import MetricWriter
from im2txt.runs.run_files import METRICS_NAME


def rows(workdir):
    return [json.loads(line) for line in (workdir / METRICS_NAME).read_text().splitlines()]


def write(workdir, first_step, steps, loss=1.0):
    with MetricWriter(str(workdir), first_step) as writer:
        for step in steps:
            writer.write("train", step, step / 3, {"loss": loss})


def test_rows_hold_what_was_written(tmp_path):
    with MetricWriter(str(tmp_path), 0) as writer:
        writer.write("train", 10, 1 / 3, {"loss": 2.5, "learning_rate": 0.1})
        writer.write("val", 10, 1 / 3, {"perplexity": 12.0})
        assert len(rows(tmp_path)) == 2  # At once: who looks at a running training sees them.
    assert rows(tmp_path) == [
        {"kind": "train", "step": 10, "epoch": 0.3333, "loss": 2.5, "learning_rate": 0.1},
        {"kind": "val", "step": 10, "epoch": 0.3333, "perplexity": 12.0},
    ]


def test_rows_past_the_resumed_step_are_dropped(tmp_path):
    write(tmp_path, 0, [1, 2, 3, 4])
    write(tmp_path, 2, [3, 4, 5], loss=9.0)
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [(1, 1.0), (2, 1.0), (3, 9.0), (4, 9.0), (5, 9.0)]


@pytest.mark.parametrize("torn", ['{"kind": "train", "st', '{"kind": "train", "step": 2, "epoch": 0, "loss": 1}'])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    write(tmp_path, 0, [1])
    with open(tmp_path / METRICS_NAME, "a") as file:
        file.write(torn)
    write(tmp_path, 5, [6])
    assert [row["step"] for row in rows(tmp_path)] == [1, 6]


@pytest.mark.parametrize(
    "garbled", [b"{'step': 2}", b"\0\0\0\0", b"3", b'{"kind": "val"}', b'{"step": "2"}', b"\xff\xfe"]
)
def test_a_garbled_line_is_refused_with_file_and_line_and_left_there(tmp_path, garbled):
    write(tmp_path, 0, [1])
    path = tmp_path / METRICS_NAME
    path.write_bytes(path.read_bytes() + garbled + b"\n" + path.read_bytes())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"^{path}, line 2: .* is no row of metrics \(.*Mend or remove the line\.$"):
        MetricWriter(str(tmp_path), 5)
    assert path.read_bytes() == before


def test_no_other_files_are_left(tmp_path):
    write(tmp_path, 0, [1])
    write(tmp_path, 1, [2])
    assert sorted(path.name for path in tmp_path.iterdir()) == [METRICS_NAME, "tensorboard"]


def test_tensorboard_gets_the_same_figures_as_scalars(tmp_path):
    with MetricWriter(str(tmp_path), 0) as writer:
        writer.write("train", 10, 0.5, {"loss": 2.5})
        writer.write("val", 20, 1.0, {"loss": 1.5, "perplexity": 4.5})
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert shown.Tags()["scalars"] == ["train/loss", "val/loss", "val/perplexity"]
    figures = {tag: [(event.step, event.value) for event in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}
    assert figures == {"train/loss": [(10, 2.5)], "val/loss": [(20, 1.5)], "val/perplexity": [(20, 4.5)]}
