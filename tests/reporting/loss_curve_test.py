"""Round numbers on axes, and thinned lines."""

import math
import re

import numpy as np
import pytest

from im2txt.reporting.loss_curve import loss_curve, thinned, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 4.9, [1, 2, 3, 4, 5]),
        (0.66, 3.1, [0.5, 1, 1.5, 2, 2.5, 3, 3.5]),
        (0, 1386, [0, 200, 400, 600, 800, 1000, 1200, 1400]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_enclose_whatever_they_are_given() -> None:
    generator = np.random.default_rng(0)
    for _ in range(500):
        low = float(generator.normal() * 10 ** generator.uniform(-3, 5))
        high = low + float(10 ** generator.uniform(-4, 5))
        marks = ticks(low, high)
        distance = marks[1] - marks[0]
        assert 3 <= len(marks) <= 8
        assert marks[0] <= low + 1e-6 * distance
        assert marks[-1] >= high - 1e-6 * distance
        assert marks[0] > low - distance
        assert marks[-1] < high + distance


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_one_value_has_an_axis_too(value: float) -> None:
    marks = ticks(value, value)
    assert marks[0] <= value <= marks[-1]
    assert marks[0] < marks[-1]
    assert "nan" not in loss_curve([(0, value)], [(0, value)])


def test_a_long_line_is_thinned_to_means() -> None:
    points = [(step, float(step % 3)) for step in range(1200)]
    assert thinned(points) == [(3.0 * i + 1, 1.0) for i in range(400)]
    assert thinned(points[:7]) == points[:7]
    assert thinned([]) == []


def test_the_right_axis_is_the_perplexity_of_the_left() -> None:
    curve = loss_curve([(0, 3.0), (10, 1.0)], [])
    left = re.findall(r'class="left"[^>]*>([^<]+)<', curve)
    right = re.findall(r'class="right"[^>]*>([^<]+)<', curve)
    assert len(left) == len(right) >= 4
    for loss, perplexity in zip(left, right, strict=True):
        assert float(perplexity) == pytest.approx(math.exp(float(loss)), rel=0.01)
