"""The forebears' models beside each other: a row for each of their runs, and a picture of their scores.

It trains nothing: the runs were trained and scored before, as `docs/forebears.md` says, and this reads what they left.
Seconds per epoch are those of a run's fastest interval between two lines of its log, which other work on the machine
disturbed least.

    python -m benchmarks.forebears /tmp/show_and_tell /tmp/merge --picture=docs/forebears.svg
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from im2txt.runs.metric_rows import read_rows
from im2txt.runs.run_files import METRICS_NAME
from im2txt.runs.run_folder import read_run_config
from im2txt.shards.manifest import Manifest

SCORES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
COLUMNS = ("model", "parameters", "s per epoch", "epochs", "perplexity", *SCORES)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a run reached.

    Attributes:
        name: of its decoder.
        parameters: of the decoder.
        epoch_secs: seconds per pass over the training captions.
        epochs: passes before the best checkpoint.
        perplexity: best on val.
        scores: on test, in [0, 1], by name.
        intervals: low and high end, where the evaluation computed them.
    """

    name: str
    parameters: int
    epoch_secs: float
    epochs: float
    perplexity: float
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    @classmethod
    def read(cls, workdir: Path) -> Entry:
        """Reads a run's folder."""
        config = read_run_config(str(workdir))
        manifest = Manifest.from_json((workdir / "data_manifest.json").read_text())
        rows = [row for _, row in read_rows(str(workdir / METRICS_NAME))]
        best = min(
            (row for row in rows if row["kind"] == "val" and "perplexity" in row), key=lambda row: row["perplexity"]
        )
        speed = max(row["captions_per_sec"] for row in rows if row["kind"] == "train")
        evaluation = json.loads((workdir / "evaluation" / "test" / "scores.json").read_text())
        weights = tf.train.list_variables(str(workdir / "best"))
        return cls(
            name=config.decoder.name,
            parameters=sum(int(np.prod(shape)) for name, shape in weights if name.startswith("model/decoder/")),
            epoch_secs=manifest.split(config.input.train_split).captions / speed,
            epochs=best["epoch"],
            perplexity=best["perplexity"],
            scores=evaluation["scores"],
            intervals=evaluation.get("intervals") or {},
        )


def table(entries: Sequence[Entry]) -> str:
    """Returns the rows as Markdown, scores in hundredths."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for entry in entries:
        cells = [
            f"`{entry.name}`",
            f"{entry.parameters / 1e6:.1f} M",
            f"{entry.epoch_secs:.0f}",
            f"{entry.epochs:.0f}",
            f"{entry.perplexity:.2f}",
            *(f"{100 * entry.scores[score]:.1f}" for score in SCORES),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(entries: Sequence[Entry], path: Path) -> None:
    """Draws two scores of each model with their intervals, best at the top."""
    shown = ("CIDEr-D", "BLEU-4")
    figure = Figure(figsize=(9, 0.5 * len(entries) + 1.2), layout="constrained")
    ordered = sorted(entries, key=lambda entry: entry.scores[shown[0]])
    for score, axes in zip(shown, figure.subplots(1, len(shown), sharey=True), strict=True):
        values = [100 * entry.scores[score] for entry in ordered]
        ends = [entry.intervals.get(score, (entry.scores[score],) * 2) for entry in ordered]
        errors = np.abs(np.transpose([(100 * low, 100 * high) for low, high in ends]) - values)
        bars = axes.barh([entry.name for entry in ordered], values, xerr=errors, color="#4c78a8", ecolor="#888888")
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=3)
        axes.set_title(f"{score}, hundredths")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Prints the table and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdirs", nargs="+", type=Path, help="folders of runs that were evaluated on test")
    parser.add_argument("--picture", type=Path, help="an SVG file to draw; none if not given")
    flags = parser.parse_args()
    entries = [Entry.read(workdir) for workdir in flags.workdirs]
    print(table(entries))
    if flags.picture:
        draw(entries, flags.picture)


if __name__ == "__main__":
    main()
