"""The page of runs beside each other: curves, scores, what differs, captions as training went on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from im2txt.reporting import figures, pages, run_content
from im2txt.reporting.figures import Line
from im2txt.reporting.result_page import METRICS
from im2txt.reporting.run_content import RunContent
from im2txt.system import storage

# The order of the curves; whatever else the rows of metrics hold follows.
_TITLES = {
    "loss": "Loss",
    "CIDEr-D": "CIDEr-D",
    "learning_rate": "Learning rate",
    "captions_per_sec": "Captions per second",
    "gradient_norm": "Norm of the gradient",
}
_NOT_DRAWN = ("perplexity",)  # The loss's right axis.
_SHOWN_SAMPLE_STEPS = 12


def follow(
    workdirs: Sequence[str],
    output: str,
    refresh_secs: float,
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Writes the page; with `refresh_secs` above 0 again and again, until no run goes on any more.

    Args:
        workdirs: folders of the runs.
        output: the page.
        refresh_secs: from one page to the next, and from one loading by the browser to the next; 0 writes once.
        clock: seconds since the epoch of the system's clock.
        wait: called with the seconds to let pass.

    Raises:
        FileNotFoundError: if a folder holds no run.
        ValueError: if a file is damaged, a run is named twice, or there are more runs than colours.
    """
    while True:
        runs = run_content.gather(workdirs, output, clock())
        goes_on = refresh_secs > 0 and any(run.state == "going on" for run in runs)
        storage.write_text(output, page(runs, refresh_secs if goes_on else 0.0))
        if not goes_on:
            return
        wait(refresh_secs)


def page(runs: Sequence[RunContent], refresh_secs: float = 0.0) -> str:
    """Returns the page; with `refresh_secs` above 0 it loads itself anew so often.

    Raises:
        ValueError: if there are more runs than colours.
    """
    if len(runs) > figures.NUM_RUN_COLOURS:
        raise ValueError(
            f"{len(runs)} runs are too many for one page; it has colours for {figures.NUM_RUN_COLOURS}. Name fewer."
        )
    return pages.render(
        "run_page.html",
        scripts=("run_page.js",) if refresh_secs else (),
        data={"refreshSecs": refresh_secs},
        title=" · ".join(run.name for run in runs),
        runs=[{"content": run, "colour": _colour(number)} for number, run in enumerate(runs)],
        curves=_curve_figures(runs),
        differences=run_content.differing_fields(runs),
        splits=_evaluations(runs),
        samples=[table for run in runs if (table := _sample_table(run))],
        refresh_secs=refresh_secs,
    )


def _colour(number: int) -> str:
    return f"run-{number + 1}"


def _curve_figures(runs: Sequence[RunContent]) -> list[dict[str, Any]]:
    """Titles and figures, one for each name among the rows of metrics."""
    names = dict.fromkeys(name for run in runs for kind in run.curves.values() for name in kind)
    ordered = [name for name in _TITLES if name in names] + [n for n in names if n not in (*_TITLES, *_NOT_DRAWN)]
    shown = []
    for name in ordered:
        lines = [
            Line(run.curves[kind][name], _colour(number), is_marked=kind == "val")
            for number, run in enumerate(runs)
            for kind in run.curves
            if run.curves[kind].get(name)
        ]
        title = _TITLES.get(name, name.replace("_", " "))
        both = {line.is_marked for line in lines} == {True, False}
        figure = figures.curves(lines, f"{title} over steps", is_loss=name == "loss")
        shown.append({"title": title, "figure": figure, "note": "thin: training, dots: validation" if both else ""})
    return shown


def _evaluations(runs: Sequence[RunContent]) -> list[dict[str, Any]]:
    """For every split the metrics, each run's scores, and the floor and the human ceiling where all runs share them."""
    shown = []
    for split in sorted({split for run in runs for split in run.evaluations}):
        results = [run.evaluations.get(split) for run in runs]
        there = [result for result in results if result]
        names = [name for name in METRICS if any(name in result["scores"] for result in there)]
        context = []
        for label, key in (("constant", "floor"), ("people", "human")):
            scores = [result[key]["scores"] for result in there]
            if scores[0] and all(of_run == scores[0] for of_run in scores):
                context.append({"label": label, "scores": scores[0]})
        shown.append({"split": split, "names": names, "results": results, "context": context})
    return shown


def _sample_table(run: RunContent) -> dict[str, Any] | None:
    """The run's sample captions: its photographs, and for each of some steps what was said of them."""
    if not run.samples:
        return None
    steps = list(run.samples)
    apart = math.ceil(len(steps) / _SHOWN_SAMPLE_STEPS)
    chosen = steps[::-1][::apart][::-1]  # The last one always.
    names = {sample.image_id: sample.file_name for step in chosen for sample in run.samples[step]}
    rows = []
    for step in chosen:
        said = {sample.image_id: sample.caption for sample in run.samples[step]}
        rows.append({"step": step, "captions": [said.get(image_id, "") for image_id in names]})
    return {"name": run.name, "photographs": list(names.values()), "rows": rows}
