"""The loss over the steps of a run, as inline SVG with HTML labels: lines stretch with the page, letters do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[tuple[int, float]]

_MOST_POINTS = 400
_SIDE = 1000  # The drawing's own units, both ways.


def loss_curve(train: Points, val: Points) -> str:
    """Draws the curve.

    Args:
        train: (step, loss in nats per word), in order of the step; thinned out where there are many.
        val: likewise, each marked with a dot. One of both must not be empty.

    Returns:
        An HTML element; the page's style gives `.plot`, `.train`, `.val` and `.dots` their looks.
    """
    points = [*train, *val]
    last = max(step for step, _ in points)
    x_ticks = ticks(0, last)
    y_ticks = ticks(min(loss for _, loss in points), max(loss for _, loss in points))
    right = max(last, 1)
    bottom, top = y_ticks[0], y_ticks[-1]

    def place(step: float, loss: float) -> tuple[float, float]:
        return _SIDE * step / right, _SIDE * (top - loss) / (top - bottom)

    grid = "".join(f'<path class="grid" d="M0 {place(0, y)[1]:.1f}H{_SIDE}"/>' for y in y_ticks)
    lines = "".join(
        f'<path class="{name}" d="{_path([place(*point) for point in thinned(of_kind)])}"/>'
        for name, of_kind in (("train", train), ("val", val))
        if of_kind
    )
    # A line of no length with round ends stays a circle however the drawing is stretched.
    dots = "".join(
        f'<path class="dots" d="M{x:.1f} {y:.1f}h0"><title>step {step:,}: loss {loss:.3f}, perplexity '
        f"{math.exp(loss):.2f}</title></path>"
        for (step, loss), (x, y) in ((point, place(*point)) for point in val)
    )
    labels = "".join(
        f'<span class="left" style="top:{place(0, y)[1] / _SIDE:.2%}">{y:g}</span>'
        f'<span class="right" style="top:{place(0, y)[1] / _SIDE:.2%}">{math.exp(y):.3g}</span>'
        for y in y_ticks
    ) + "".join(f'<span class="under" style="left:{x / right:.2%}">{x:,.0f}</span>' for x in x_ticks if x <= last)
    return (
        f'<div class="plot"><svg viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none" role="img" '
        f'aria-label="Loss over steps">{grid}{lines}{dots}</svg>{labels}</div>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Returns 4 to 8 round numbers at equal distances that enclose [low, high]."""
    spread = high - low or max(abs(high), 1.0)
    smallest = math.floor(math.log10(spread)) - 1
    distances = (factor * 10.0**exponent for exponent in range(smallest, smallest + 3) for factor in (1, 2, 5))
    for distance in distances:  # A seventh of the spread, or more, is among them.
        first, last = math.floor(low / distance + 1e-9), math.ceil(high / distance - 1e-9)
        if last - first <= 7:
            break
    return [round(i * distance, 10) for i in range(first, max(last, first + 1) + 1)]


def thinned(points: Points) -> list[tuple[float, float]]:
    """Returns the points, or their means over at most 400 equal groups."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)] if points else []
    return [(sum(s for s, _ in group) / len(group), sum(v for _, v in group) / len(group)) for group in groups]


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
