"""The figures of an evaluation as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from im2txt.metrics.caption_metrics import some_ids


def score_table(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of a table.

    Args:
        result: scores.json, as `im2txt.inference.caption_evaluation` makes it.
    """
    floor, human = result["floor"], result["human"]
    yield f"{'':24}{'captions':>10}{'95% interval':>20}{'constant':>10}{'human':>10}"
    for name, value in result["scores"].items():
        low, high = result["intervals"][name]
        interval = f"{low:.4f} to {high:.4f}"
        yield f"{name:24}{value:10.4f}{interval:>20}{_cells(name, floor['scores'], human['scores'])}"
    for name, value in result["java_scores"].items():
        yield f"{f'{name} (Java)':24}{value:10.4f}"
    for name, value in result["diagnostics"].items():
        yield f"{name:24}{value:10.4f}{'':20}{_cells(name, floor['diagnostics'], human['diagnostics'])}"
    yield f"constant: {floor['caption']!r} for every image; human: one reference against the others"
    yield from _exclusions(result["excluded"])
    if "comparison" in result:
        yield from _comparison(result["comparison"])


def _comparison(comparison: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"Compared with {comparison['other']} on {comparison['num_images']} images, by paired bootstrap:"
    yield f"{'':24}{'captions':>10}{'other':>10}{'difference':>12}{'95% interval':>20}{'p':>10}"
    for name, row in comparison["metrics"].items():
        low, high = row["interval"]
        interval = f"{low:+.4f} to {high:+.4f}"
        figures = f"{row['score']:10.4f}{row['other_score']:10.4f}{row['difference']:+12.4f}"
        yield f"{name:24}{figures}{interval:>20}{row['p_value']:10.4f}"
    yield from _exclusions(comparison["excluded"])


def _cells(name: str, *columns: Mapping[str, float]) -> str:
    return "".join(f"{column[name]:10.4f}" if name in column else " " * 10 for column in columns)


def _exclusions(excluded: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in excluded:
        yield f"Not scored: {row['count']} {row['reason']}: {some_ids(row['image_ids'])}"
