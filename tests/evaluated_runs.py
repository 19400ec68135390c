"""Folders of runs, made by hand, for tests of the pages."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import fake_shards


def candidate(words: str, log_probs: Sequence[float], is_complete: bool = True) -> dict[str, Any]:
    """A caption as candidates.json has it; the log probabilities are of its words and, if complete, of the end."""
    return {
        "caption": words.capitalize(),
        "words": words,
        "log_prob": sum(log_probs),
        "score": sum(log_probs),
        "is_complete": is_complete,
        "word_log_probs": list(log_probs),
    }


def write_run(workdir: pathlib.Path, data_dir: pathlib.Path, **fields: Any) -> None:
    """A run with 40 rows of training, 4 of validation; `fields` are set in the configuration's `decoder`."""
    workdir.mkdir(parents=True)
    config = {
        "input": {"data_dir": str(data_dir)},
        "decoder": {"num_lstm_units": 96, "layers": 1} | fields,
        "training": {"num_epochs": 4.0},
    }
    (workdir / "config.json").write_text(json.dumps(config))
    rows: list[dict[str, Any]] = [
        {
            "kind": "train", "step": 100 * i, "epoch": i / 10, "time": 5.0 * i, "loss": 5.0 - i / 10,
            "learning_rate": 1e-3, "captions_per_sec": 500.0,
        }
        for i in range(1, 41)
    ]  # fmt: skip
    losses = (4.0, 2.0, 2.5, 3.0)
    rows += [
        {"kind": "val", "step": 1000 * i, "epoch": i, "time": 50.0 * i, "loss": x} for i, x in enumerate(losses, 1)
    ]
    write_rows(workdir, sorted(rows, key=lambda row: row["step"]))


def write_rows(workdir: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes metrics.jsonl."""
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_evaluation(
    workdir: pathlib.Path, captions: Mapping[int, tuple[str, Sequence[dict[str, Any]]]], split: str = "test"
) -> pathlib.Path:
    """Writes scores.json and candidates.json; `captions` holds file name and candidates by image id."""
    results = workdir / "evaluation" / split
    results.mkdir(parents=True, exist_ok=True)
    scores = {
        "split": split, "step": 4000, "checkpoint": "best/1", "perplexity": 7.389, "beam_size": 3,
        "num_images": len(captions),
        "scores": {"CIDEr-D": 1.8, "BLEU-4": 0.4},
        "intervals": {"CIDEr-D": [1.7, 1.9], "BLEU-4": [0.35, 0.45]},
        "diagnostics": {"mean_length": 7.25},
        "floor": {"caption": "a dog", "scores": {"CIDEr-D": 0.3, "BLEU-4": 0.1}, "diagnostics": {"mean_length": 12.0}},
        "human": {"scores": {"CIDEr-D": 2.5, "BLEU-4": 0.5}, "diagnostics": {}},
    }  # fmt: skip
    (results / "scores.json").write_text(json.dumps(scores))
    entries = [{"image_id": i, "file_name": name, "captions": beams} for i, (name, beams) in captions.items()]
    (results / "candidates.json").write_text(json.dumps(entries))
    return results


def write_evaluated_run(folder: pathlib.Path) -> pathlib.Path:
    """Writes `folder/shards` and `folder/run`, photographs 31, 32 and 33 of `test` captioned; returns the run."""
    fake_shards.write_folder(folder / "shards")
    workdir = folder / "run"
    write_run(workdir, folder / "shards")
    write_evaluation(
        workdir,
        {
            31: (
                "31.jpg",
                [candidate("a dog runs", (-0.1, -0.2, -0.3, -0.4)), candidate("a cat", (-1.0, -2.0), False)],
            ),
            32: ("32.jpg", [candidate("a cat", (-2.0, -2.0, -3.0))]),
            33: ("33.jpg", []),
        },
    )
    return workdir
