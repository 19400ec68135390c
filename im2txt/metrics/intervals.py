"""How far scores can be trusted: bootstrap over images.

A bootstrap sample draws as many images as there are, each as often as chance has it. CIDEr-D keeps the document
frequencies of all images, since a sample's own would measure something else.

Source: Koehn 2004, "Statistical significance tests for machine translation evaluation"; Efron and Tibshirani 1993, "An
introduction to the bootstrap".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from im2txt.metrics.caption_metrics import METRICS, CaptionScores

CONFIDENCE = 0.95
_BLOCK = 100  # samples drawn at once, which bounds the memory


def confidence_intervals(scores: CaptionScores, num_samples: int = 1000, seed: int = 0) -> dict[str, list[float]]:
    """The interval of each score: between the 2.5th and the 97.5th percentile of its bootstrap samples.

    Args:
        scores: of N images.
        num_samples: bootstrap samples, at least 1.
        seed: of the samples; the same seed gives the same samples for all captions of N images.

    Returns:
        For each of `METRICS` the two ends.
    """
    samples = _collect(scores, num_samples, seed)
    tail = (1 - CONFIDENCE) / 2
    return {name: np.quantile(values, [tail, 1 - tail]).tolist() for name, values in samples.items()}


def compare(
    scores: CaptionScores, others: CaptionScores, num_samples: int = 10_000, seed: int = 0
) -> dict[str, dict[str, float | list[float]]]:
    """Whether one set of captions is better than another of the same images, by paired bootstrap.

    Both are scored on the same samples, so what is hard or easy for both cancels out.

    Args:
        scores: the one.
        others: the other.
        num_samples: bootstrap samples, at least 1.
        seed: of the samples.

    Returns:
        For each of `METRICS`: `score`, `other_score`, `difference` (the one less the other), its `interval`, and
        `p_value`: how probable a difference at least as large, in either direction, would be if neither were better.

    Raises:
        ValueError: the two are not of the same images in the same order.
    """
    if scores.image_ids != others.image_ids:
        raise ValueError("A paired comparison needs two sets of captions of the same images in the same order.")
    samples, other_samples = _collect(scores, num_samples, seed), _collect(others, num_samples, seed)
    own, other = scores.corpus(), others.corpus()
    tail = (1 - CONFIDENCE) / 2
    result = {}
    for name in METRICS:
        difference = own[name] - other[name]
        differences = samples[name] - other_samples[name]
        # Rounding must not part differences that are equal.
        as_large = np.abs(differences - difference) >= abs(difference) - 1e-12
        result[name] = {
            "score": own[name],
            "other_score": other[name],
            "difference": difference,
            "interval": np.quantile(differences, [tail, 1 - tail]).tolist(),
            "p_value": float((1 + as_large.sum()) / (1 + num_samples)),
        }
    return result


def _collect(scores: CaptionScores, num_samples: int, seed: int) -> dict[str, np.ndarray]:
    """The scores of each sample, float64 `[num_samples]`."""
    blocks = [scores.resampled(counts) for counts in _samples(len(scores.image_ids), num_samples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in METRICS}


def _samples(num_images: int, num_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields how often each image is in each sample, int64 `[up to 100, num_images]`."""
    generator = np.random.default_rng(seed)
    for start in range(0, num_samples, _BLOCK):
        rows = min(_BLOCK, num_samples - start)
        drawn = generator.integers(0, num_images, (rows, num_images)) + np.arange(rows)[:, None] * num_images
        yield np.bincount(drawn.ravel(), minlength=rows * num_images).reshape(rows, num_images)
