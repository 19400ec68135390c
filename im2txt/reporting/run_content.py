"""What a page of runs shows, gathered from each run's folder; a run is worth looking at from its first minutes on."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from im2txt.reporting.run_documents import read_config, read_scores
from im2txt.runs import run_files
from im2txt.runs.metric_rows import read_rows
from im2txt.runs.sample_captions import SampleCaption, read_samples

_MIN_SILENCE_SECS = 180
_SILENT_INTERVALS = 5

Points = list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class RunContent:
    """One run.

    Attributes:
        workdir: its folder.
        name: tells it apart from the others on the page.
        config: config.json, by `section.field`.
        curves: (step, value) in order of the step, by kind (`train`, `val`) and figure (`loss`, ...).
        epoch: passes done at the last row of metrics, 0.0 before the first.
        seconds: spent training until then, as far as the rows tell.
        state: `going on`, `finished`, or `stopped`: silent, and short of its last epoch.
        evaluations: scores.json by split.
        pages: the result pages that are there, by split, as paths relative to the page's folder.
        samples: captions of the same few photographs, by step.
    """

    workdir: str
    name: str
    config: dict[str, Any]
    curves: dict[str, dict[str, Points]]
    epoch: float
    seconds: float
    state: str
    evaluations: dict[str, dict[str, Any]]
    pages: dict[str, str]
    samples: dict[int, list[SampleCaption]]

    @property
    def last_step(self) -> int:
        """Updates done, as far as the rows of metrics tell."""
        return max((points[-1][0] for kind in self.curves.values() for points in kind.values()), default=0)

    @property
    def best_validation(self) -> tuple[int, float] | None:
        """Step and loss of the best validation, in nats per word."""
        losses = self.curves["val"].get("loss")
        return min(losses, key=lambda point: point[1]) if losses else None


def gather(workdirs: Sequence[str], page_path: str, now: float) -> list[RunContent]:
    """Reads the runs.

    Args:
        workdirs: their folders, each once.
        page_path: where the page will be.
        now: seconds since the epoch of the system's clock.

    Raises:
        FileNotFoundError: if a folder holds no run.
        ValueError: if a file is damaged or a run is named twice.
    """
    places = [os.path.abspath(workdir) for workdir in workdirs]
    twice = [place for place, count in collections.Counter(places).items() if count > 1]
    if twice:
        raise ValueError(f"--workdir={twice[0]} is named more than once. Name each run once.")
    names = _names(places)
    return [_read_run(place, name, page_path, now) for place, name in zip(places, names, strict=True)]


def differing_fields(runs: Sequence[RunContent]) -> dict[str, list[Any]]:
    """Returns the fields that are not the same in all runs, with each run's value; None if it has none."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    values = {name: [run.config.get(name) for run in runs] for name in names}
    return {name: of_runs for name, of_runs in values.items() if any(value != of_runs[0] for value in of_runs)}


def _names(places: Sequence[str]) -> list[str]:
    """The last parts of the paths, as many as tell the runs apart."""
    for parts in range(1, max(place.count(os.sep) for place in places) + 1):
        names = [os.sep.join(place.split(os.sep)[-parts:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return list(places)


def _read_run(workdir: str, name: str, page_path: str, now: float) -> RunContent:
    config_path = os.path.join(workdir, run_files.CONFIG_NAME)
    config = read_config(workdir)
    metrics_path = os.path.join(workdir, run_files.METRICS_NAME)
    rows = [row for _, row in read_rows(metrics_path)]
    epoch = max((row["epoch"] for row in rows), default=0.0)
    evaluations, result_pages = {}, {}
    results = os.path.join(workdir, run_files.EVALUATION_NAME)
    for split in sorted(os.listdir(results)) if os.path.isdir(results) else []:
        scores = read_scores(os.path.join(results, split))
        if scores is not None and "step" in scores:  # Captions of another program may have been scored into the folder.
            evaluations[split] = scores
        result_page = os.path.join(results, split, "report.html")
        if os.path.exists(result_page):
            result_pages[split] = os.path.relpath(result_page, os.path.dirname(os.path.abspath(page_path)))
    last_written = os.path.getmtime(metrics_path if os.path.exists(metrics_path) else config_path)
    return RunContent(
        workdir=workdir,
        name=name,
        config=_flat(config),
        curves=_curves(rows),
        epoch=epoch,
        seconds=_seconds(rows),
        state=_state(config, epoch, rows, now - last_written),
        evaluations=evaluations,
        pages=result_pages,
        samples=read_samples(workdir),
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Points]]:
    curves: dict[str, dict[str, Points]] = {"train": {}, "val": {}}
    for row in rows:
        of_kind = curves.setdefault(row["kind"], {})
        for name, value in row.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            # A loss that is no number has no place on a curve.
            if name not in ("step", "epoch", "time") and is_number and math.isfinite(value):
                of_kind.setdefault(name, []).append((row["step"], float(value)))
    return curves


def _seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """Sums over the times a run was started: the rows count each anew."""
    total = previous = 0.0
    for row in rows:
        now = float(row.get("time", 0.0))
        if now < previous:
            total += previous
        previous = now
    return total + previous


def _state(config: Mapping[str, Any], epoch: float, rows: Sequence[Mapping[str, Any]], silent_secs: float) -> str:
    num_epochs = config.get("training", {}).get("num_epochs")
    if num_epochs is not None and epoch >= num_epochs - 1e-3:
        return "finished"
    times = [float(row.get("time", 0.0)) for row in rows]
    longest = max((after - before for before, after in zip(times, times[1:], strict=False)), default=0.0)
    return "going on" if silent_secs < max(_MIN_SILENCE_SECS, _SILENT_INTERVALS * longest) else "stopped"
