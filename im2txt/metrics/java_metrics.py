"""METEOR and SPICE, which are Java programs with data of their own: pycocoevalcap runs them, if it is installed.

A re-creation would give other figures under the same names. SPICE also wants Stanford's models, which pycocoevalcap
downloads at its first use, and a Java no newer than 8.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from im2txt.metrics.caption_metrics import CaptionScorer, CaptionScores

JAVA_METRICS = ("METEOR", "SPICE")


def check_java_metric(name: str) -> None:
    """Says what is missing, before any work.

    Raises:
        RuntimeError: pycocoevalcap or Java is not installed.
    """
    try:
        importlib.import_module(f"pycocoevalcap.{name.lower()}.{name.lower()}")
    except ImportError as error:
        raise RuntimeError(
            f"{name} needs the package pycocoevalcap, which is not installed ({error}). Run "
            "`pip install -r requirements-java-metrics.txt`, or leave the flag out."
        ) from error
    if not shutil.which("java"):
        raise RuntimeError(
            f"{name} is a Java program, and no `java` is on the path. Install a Java runtime, or leave the flag out."
        )


def java_metric(name: str, scorer: CaptionScorer, scores: CaptionScores) -> tuple[float, np.ndarray]:
    """Runs one of `JAVA_METRICS` on captions that were scored.

    Args:
        name: METEOR or SPICE.
        scorer: with the references.
        scores: of the captions.

    Returns:
        The score in [0, 1], and each image's, float64 `[N]`. METEOR's is not the mean of its images'.

    Raises:
        RuntimeError: what it needs is not installed, or the Java program failed.
    """
    check_java_metric(name)
    module = importlib.import_module(f"pycocoevalcap.{name.lower()}.{name.lower()}")
    references = {i: list(map(_joined, captions)) for i, captions in enumerate(scorer.tokens)}
    hypotheses = {i: [_joined(caption)] for i, caption in enumerate(scores.tokens)}
    try:
        score, of_images = getattr(module, name.capitalize())().compute_score(references, hypotheses)
    except Exception as error:  # Broken pipes, exit statuses, lines that are no numbers: whatever Java left behind.
        raise RuntimeError(
            f"pycocoevalcap's {name} failed: {error!r}. Leave its flag out to score without it."
        ) from error
    return float(score), np.array([_number(value) for value in of_images])


def _joined(tokens: Sequence[str]) -> str:
    return " ".join(tokens)


def _number(value: Any) -> float:
    """METEOR gives a number for each image, SPICE its parts."""
    return float(value["All"]["f"] if isinstance(value, dict) else value)
