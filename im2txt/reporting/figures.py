"""Figures drawn by matplotlib, as SVG inside the page, in the page's own colours, light and dark."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

Points = Sequence[tuple[float, float]]

NUM_RUN_COLOURS = 8
_MOST_POINTS = 400
_MIN_SPREAD = 0.1
_WIDTH_INCHES = 5.2  # 374 units of the drawing: letters have their size on a phone, and grow a little on a desktop.
_HALF_WIDTH_INCHES = 3.6  # Two beside each other on a desktop.
_FONT_SIZE = 10
# The page's colours by name. Matplotlib draws with stand-ins, which become `var(--name)`.
_NAMES = ("ink", "soft", "line", "card", "floor", "human", *(f"run-{i}" for i in range(1, NUM_RUN_COLOURS + 1)))
_STAND_INS = {name: f"#01{number:02x}fe" for number, name in enumerate(_NAMES)}
_SETTINGS: Any = {
    "svg.fonttype": "none",  # Letters stay letters.
    "svg.hashsalt": "im2txt",  # The same figure gives the same text.
    "font.size": _FONT_SIZE,
    "text.parse_math": False,
    "axes.edgecolor": _STAND_INS["line"],
    "axes.labelcolor": _STAND_INS["soft"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": _STAND_INS["line"],
    "ytick.color": _STAND_INS["line"],
    "xtick.labelcolor": _STAND_INS["soft"],
    "ytick.labelcolor": _STAND_INS["soft"],
    "ytick.major.size": 0,
    "grid.color": _STAND_INS["line"],
    "grid.linewidth": 0.8,
}


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        points: (step, value) in order of the step.
        colour: a name among the page's colours, such as `run-1`.
        is_marked: whether each point has a dot; without dots the line is thin.
    """

    points: Points
    colour: str
    is_marked: bool = False


@dataclasses.dataclass(frozen=True)
class Measure:
    """A score beside what it is compared with; None where there is no such value.

    Attributes:
        name: what is measured.
        value: the run's.
        interval: low and high end of the run's value.
        floor: the best constant caption's.
        human: one person's against the others.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    floor: float | None = None
    human: float | None = None


def curves(lines: Sequence[Line], label: str, is_loss: bool = False) -> Markup:
    """Draws lines over the steps of a run.

    Args:
        lines: one or more, of at least one point each.
        label: what a screen reader says.
        is_loss: whether values are nats per word, whose right axis is the perplexity.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(2.7)
        for line in lines:
            steps, values = zip(*(line.points if line.is_marked else thinned(line.points)), strict=True)
            mark = {"marker": "o", "markersize": 4} if line.is_marked or len(steps) == 1 else {}
            width = 1.8 if line.is_marked else 1.1
            axes.plot(steps, values, color=_STAND_INS[line.colour], linewidth=width, **mark)  # type: ignore[arg-type]
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.set_xlabel("step")
        if is_loss:
            axes.set_ylabel("nats per word")
            _add_perplexity(axes)
        return _svg(figure, label)


def _add_perplexity(axes: Axes) -> None:
    """Puts the perplexity of each tick of the left axis on the right."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    right = axes.twinx()
    right.patch.set_visible(False)
    right.set_ylim(low, high)
    right.set_yticks(ticks, [f"{math.exp(min(tick, 700)):.3g}" for tick in ticks])
    right.set_ylabel("perplexity")


def histogram(counts: Mapping[str, Mapping[Any, int]], width: float, x_label: str, label: str) -> Markup:
    """Draws shares of a whole over values, one kind beside the other.

    Args:
        counts: by colour, how often each value occurs; values at equal distances.
        width: that distance.
        x_label: what the values are.
        label: what a screen reader says.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(1.9, _HALF_WIDTH_INCHES)
        bar = 0.86 * width / len(counts)
        for number, (colour, of_kind) in enumerate(counts.items()):
            total = sum(of_kind.values()) or 1
            places = np.array(list(of_kind), float) + (number - (len(counts) - 1) / 2) * bar
            axes.bar(places, [100 * n / total for n in of_kind.values()], bar, color=_STAND_INS[colour])
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
        axes.set_xlabel(x_label)
        return _svg(figure, label)


def score_chart(measures: Sequence[Measure], label: str) -> Markup:
    """Draws each score as a dot with its interval on a line from 0, with marks for the floor and for people."""
    with matplotlib.rc_context(_SETTINGS):
        figure, axes = _figure(0.7 + 0.36 * len(measures))
        for row, measure in enumerate(measures):
            axes.plot([0, measure.value], [row, row], color=_STAND_INS["run-1"], linewidth=5, solid_capstyle="round")
            if measure.interval is not None:
                axes.plot(measure.interval, [row, row], color=_STAND_INS["ink"], linewidth=1.2)
            for value, colour in ((measure.floor, "floor"), (measure.human, "human")):
                if value is not None:
                    axes.plot([value], [row], "|", color=_STAND_INS[colour], markersize=15, markeredgewidth=3)
        axes.set_yticks(range(len(measures)), [measure.name for measure in measures])
        axes.invert_yaxis()
        axes.set_ylim(len(measures) - 0.5, -0.5)
        values = [value for m in measures for value in (m.value, m.floor, m.human) if value is not None]
        axes.set_xlim(0, max(1.0, *values) * 1.02)
        axes.grid(axis="x")
        return _svg(figure, label)


def binned(values: Sequence[float], num_bins: int = 24) -> tuple[dict[float, int], float]:
    """Returns how many values lie around each of some round values at equal distances, and that distance.

    Raises:
        ValueError: if there is no value.
    """
    if not len(values):
        raise ValueError("There are no values to count.")
    middle = (min(values) + max(values)) / 2
    reach = max(max(values) - middle, _MIN_SPREAD / 2)  # Values that are all but equal are not taken apart.
    edges = MaxNLocator(num_bins).tick_values(middle - reach, middle + reach)
    counts, _ = np.histogram(values, edges)
    width = float(edges[1] - edges[0])
    return {float(edge + width / 2): int(n) for edge, n in zip(edges[:-1], counts, strict=True)}, width


def thinned(points: Points) -> Points:
    """Returns the points, or their means over at most 400 equal groups."""
    size = math.ceil(len(points) / _MOST_POINTS)
    if size <= 1:
        return points
    groups = [np.array(points[start : start + size]) for start in range(0, len(points), size)]
    return [(float(group[:, 0].mean()), float(group[:, 1].mean())) for group in groups]


def _figure(height: float, width: float = _WIDTH_INCHES) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    return figure, axes


def _svg(figure: Figure, label: str) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r" font-family: [^;]*;", "", svg)  # The page's.
    # A page has many figures: ids that are only there for the eye go, the others are hashes of what they name.
    svg = re.sub(r' id="(?![mp][0-9a-f]{10})[^"]*"', "", svg)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1">', svg)
    for name, stand_in in _STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return Markup('<div class="figure" role="img" aria-label="{}">').format(label) + Markup(svg) + Markup("</div>")
