"""The forebears' models beside each other: a row for each of their runs, and a picture of their scores.

It trains nothing: the runs were trained and scored before, as `docs/forebears.md` says, and this reads what they left.
Seconds per epoch are those of a run's fastest interval between two lines of its log, which other work on the machine
disturbed least.

    python -m benchmarks.forebears /tmp/show_and_tell /tmp/merge --picture=docs/forebears.svg
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import tyro
from matplotlib.figure import Figure

from im2txt.metrics.caption_metrics import METRICS
from im2txt.reporting import run_content
from im2txt.reporting.run_content import RunContent
from im2txt.runs import checkpoints, run_files
from im2txt.shards.manifest import Manifest
from im2txt.system import command_line

COLUMNS = ("model", "parameters", "s per epoch", "epochs", "perplexity", *METRICS)


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    workdirs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Folders of runs that were evaluated on test."""
    picture: str = ""
    """An SVG file to draw; empty draws none."""

    def __post_init__(self) -> None:
        if not self.workdirs:
            raise ValueError("Name the folder of a run at least.")


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
        intervals: low and high end of each.
    """

    name: str
    parameters: int
    epoch_secs: float
    epochs: float
    perplexity: float
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, run: RunContent) -> Entry:
        """Reads what a run's page does not show; ValueError if the run was not validated or not evaluated on test."""
        if run.best_validation is None or "test" not in run.evaluations:
            raise ValueError(f"{run.workdir} has no validation or no evaluation of test. Run im2txt.evaluate on it.")
        step, loss = run.best_validation
        manifest = Manifest.from_json(Path(run.workdir, run_files.DATA_NAME).read_text(encoding="utf-8"))
        speed = max(value for _, value in run.curves["train"]["captions_per_sec"])
        weights = tf.train.list_variables(checkpoints.find_checkpoint(run.workdir))
        evaluation = run.evaluations["test"]
        return cls(
            name=run.config["decoder.name"],
            parameters=sum(int(np.prod(shape)) for name, shape in weights if name.startswith("model/decoder/")),
            epoch_secs=manifest.split(run.config["input.train_split"]).captions / speed,
            epochs=step * run.epoch / run.last_step,
            perplexity=math.exp(loss),
            scores=evaluation["scores"],
            intervals=evaluation["intervals"],
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
            *(f"{100 * entry.scores[score]:.1f}" for score in METRICS),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(entries: Sequence[Entry], path: str) -> None:
    """Draws two scores of each model with their intervals, best at the top."""
    shown = ("CIDEr-D", "BLEU-4")
    figure = Figure(figsize=(9, 0.5 * len(entries) + 1.2), layout="constrained")
    ordered = sorted(entries, key=lambda entry: entry.scores[shown[0]])
    for score, axes in zip(shown, figure.subplots(1, len(shown), sharey=True), strict=True):
        values = [100 * entry.scores[score] for entry in ordered]
        errors = np.abs(100 * np.transpose([entry.intervals[score] for entry in ordered]) - values)
        bars = axes.barh([entry.name for entry in ordered], values, xerr=errors, color="#4c78a8", ecolor="#888888")
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=3)
        axes.set_title(f"{score}, hundredths")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Prints the table and draws the picture."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    entries = [Entry.of(run) for run in run_content.gather(flags.workdirs, page_path="", now=time.time())]
    print(table(entries))
    if flags.picture:
        draw(entries, flags.picture)


if __name__ == "__main__":
    command_line.run(main)
