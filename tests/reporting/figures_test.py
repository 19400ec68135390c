"""Drawn coordinates against the values, by the ticks that matplotlib put beside them."""

import math
import re

import numpy as np
import pytest

from im2txt.reporting.figures import Line, Measure, binned, curves, histogram, score_chart, thinned

NUMBER = r"-?[0-9.]+"


def texts(svg: str) -> list[tuple[float, float, str]]:
    """Place and content of each text, without thousands separators."""
    found = re.findall(rf'<text [^>]*?x="({NUMBER})" y="({NUMBER})"[^>]*>([^<]+)</text>', svg)
    return [(float(x), float(y), text.replace(",", "").replace("\u2212", "-")) for x, y, text in found]


def paths(svg: str, colour: str) -> list[np.ndarray]:
    """Corners of the lines of a colour."""
    found = re.findall(rf'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--{colour}\)[^"]*"', svg)
    return [np.array([[float(n) for n in p.split()] for p in re.split("[ML]", d) if p.strip()]) for d in found]


def axis_of(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Slope and start of the line through (value, place)."""
    slope, start = np.polyfit(*zip(*pairs, strict=True), 1)
    return float(slope), float(start)


def test_curves_go_through_their_points():
    svg = curves([Line([(0, 5.0), (1000, 3.0), (2000, 1.0), (3000, 2.0)], "run-2", True)], "Loss")
    labels = [(x, y, float(text)) for x, y, text in texts(svg) if re.fullmatch(NUMBER, text)]
    left = min(x for x, _, _ in labels)
    x_slope, x_start = axis_of([(value, x) for x, _, value in labels if value >= 500] + [(0, labels[0][0])])
    y_slope, _ = axis_of([(value, y) for x, y, value in labels if value < 500 and x == left])
    (line,) = paths(svg, "run-2")
    np.testing.assert_allclose(line[:, 0], [x_start + x_slope * step for step in (0, 1000, 2000, 3000)], atol=0.1)
    np.testing.assert_allclose(np.diff(line[:, 1]), [-2 * y_slope, -2 * y_slope, y_slope], atol=0.1)


def test_the_right_axis_is_the_perplexity_of_the_left():
    found = texts(curves([Line([(0, 3.0), (10, 1.0)], "run-1")], "Loss", is_loss=True))
    numbers = [(x, y, float(text)) for x, y, text in found if re.fullmatch(NUMBER, text)]
    bottom = max(y for _, y, _ in numbers)
    rows: dict[float, list[tuple[float, float]]] = {}
    for x, y, value in numbers:
        if y != bottom:
            rows.setdefault(round(y, 2), []).append((x, value))
    assert len(rows) >= 4
    for row in rows.values():
        (_, loss), (_, perplexity) = sorted(row)
        assert perplexity == pytest.approx(math.exp(loss), rel=0.01)


def test_one_point_and_one_value_are_drawn_too():
    assert "nan" not in curves([Line([(0, 2.5)], "run-1")], "Loss", is_loss=True).lower()
    assert "nan" not in curves([Line([(0, 0.0), (5, 0.0)], "run-1")], "Loss").lower()


def test_a_long_line_is_thinned_to_means():
    points = [(step, float(step % 3)) for step in range(1200)]
    assert thinned(points) == [(3.0 * i + 1, 1.0) for i in range(400)]
    assert thinned(points[:7]) == points[:7]


def test_colours_are_the_pages():
    svg = score_chart([Measure("CIDEr-D", 0.5, (0.4, 0.6), 0.1, 0.8)], "Scores")
    assert set(re.findall(r"var\(--([^)]+)\)", svg)) >= {"run-1", "floor", "human", "ink", "line", "soft"}
    assert "#01" not in svg
    assert "http" not in svg


def test_a_score_chart_puts_values_where_they_are_between_0_and_the_largest():
    svg = score_chart([Measure("BLEU-4", 0.5, (0.4, 0.6)), Measure("CIDEr-D", 1.8, None, 0.3, 2.5)], "Scores")
    slope, start = axis_of([(float(text), x) for x, _, text in texts(svg) if re.fullmatch(NUMBER, text)])
    first, second = paths(svg, "run-1")
    np.testing.assert_allclose(first[:, 0], [start, start + 0.5 * slope], atol=0.1)
    np.testing.assert_allclose(second[:, 0], [start, start + 1.8 * slope], atol=0.1)
    interval = next(path for path in paths(svg, "ink") if len(path) == 2)
    np.testing.assert_allclose(interval[:, 0], [start + 0.4 * slope, start + 0.6 * slope], atol=0.1)


def test_bars_of_a_histogram_are_shares_of_their_own_kind():
    svg = histogram({"run-1": {1: 1, 2: 3}, "human": {1: 30, 2: 10}}, 1, "words", "Lengths")

    def heights(colour: str) -> list[float]:
        found = re.findall(rf'<path d="([^"]+)"[^>]*style="fill: var\(--{colour}\)', svg)
        corners = [np.array([[float(n) for n in p.split()] for p in re.split("[MLz]", d) if p.strip()]) for d in found]
        return [float(np.ptp(corner[:, 1])) for corner in corners]

    run, human = heights("run-1"), heights("human")
    assert run[1] / run[0] == pytest.approx(3, rel=1e-3)
    assert human[0] == pytest.approx(run[1], rel=1e-3)
    assert human[1] == pytest.approx(run[0], rel=1e-3)


def test_binned_values_are_counted_once_at_round_places():
    values = np.random.default_rng(0).uniform(0, 10, 1000)
    counts, width = binned(values.tolist())
    assert sum(counts.values()) == 1000
    for middle, count in counts.items():
        assert count == np.sum((values >= middle - width / 2) & (values < middle + width / 2))
    counts, width = binned([3.0, 3.0 + 1e-12])
    assert max(counts.values()) == 2
    assert width > 1e-3
    with pytest.raises(ValueError, match="no values"):
        binned([])


def test_dollars_are_letters_not_formulas():
    assert "$x_1$" in score_chart([Measure("$x_1$", 0.5)], "Scores")


def test_the_same_figure_gives_the_same_text():
    def draw():
        return curves([Line([(0, 2.0), (10, 1.0)], "run-1", True)], "Loss", is_loss=True)

    assert draw() == draw()
