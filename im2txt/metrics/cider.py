"""CIDEr-D: how alike a caption and its references are in the n-grams that tell images apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from im2txt.metrics.ngrams import MAX_ORDER, Caption, MatchedHypotheses, NgramTable, ReferenceNgrams

_SCALE = 10.0
_LENGTH_VARIANCE = 6.0**2  # of the penalty on a difference in length, in bigrams squared


def length_penalties(hypothesis_lengths: np.ndarray, reference_lengths: np.ndarray) -> np.ndarray:
    """The factors in (0, 1] on captions of different lengths, in words: a Gaussian of the difference in bigrams."""
    differences = np.maximum(0, hypothesis_lengths - 1) - np.maximum(0, reference_lengths - 1)
    return np.exp(-(differences**2) / (2 * _LENGTH_VARIANCE))


class CiderD:
    """Scores captions against references, weighing n-grams by the images that the references share.

    The references are weighed once; any number of batches is then scored fast enough to be a reward in training. An
    n-gram of the references of every image weighs nothing, so scores of different sets of images do not compare, and
    **a single image always scores 0**.

    Attributes:
        references: the indexed references.
        squared_weights: for each n, the squared inverse document frequency of each n-gram of the index.
        norms: for each n, float64 `[references]`: the Euclidean norm of count times inverse document frequency.

    Source: Vedantam et al. 2015, "CIDEr: consensus-based image description evaluation", as
    coco-caption computes it.
    """

    def __init__(self, references: ReferenceNgrams) -> None:
        """Weighs the n-grams of the references."""
        self.references = references
        starts = references.image_starts
        images = np.repeat(np.arange(len(starts) - 1), np.diff(starts))  # of each reference
        log_images = math.log(max(1, len(starts) - 1))
        self._squared_weight_of_new = log_images**2
        self.squared_weights: list[np.ndarray] = []
        for table, size in zip(references.index.tables, references.index.sizes, strict=True):
            keys = np.sort(images[table.captions()] << 32 | table.ids)
            once = keys[np.diff(keys, prepend=-1) > 0] & (1 << 32) - 1  # each n-gram once for each image that has it
            self.squared_weights.append((log_images - np.log(np.bincount(once, minlength=size))) ** 2)
        self.norms = self._norms(references.index.tables)

    def scores(self, hypotheses: Sequence[Caption], images: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """CIDEr-D of captions, float64 `[B]` in [0, 10]; the arguments and errors of `ReferenceNgrams.match`."""
        return self.scores_of(self.references.match(hypotheses, images))

    def scores_of(self, matched: MatchedHypotheses) -> np.ndarray:
        """CIDEr-D of hypotheses whose n-grams were found, float64 `[B]`: the mean over the references of their image.

        For each n the cosine between both captions, the hypothesis's counts clipped to the reference's, averaged over
        n, times the length penalty.
        """
        pair_hypotheses, num_pairs = matched.pair_hypotheses(), len(matched.pair_references)
        cosines = np.zeros(num_pairs)
        norms = self._norms(matched.tables)
        for n, (table, matches) in enumerate(zip(matched.tables, matched.matches, strict=True)):
            clipped = np.minimum(table.counts[matches.entries], matches.reference_counts)
            parts = clipped * matches.reference_counts * self.squared_weights[n][table.ids[matches.entries]]
            products = np.bincount(matches.pairs, parts, num_pairs)
            norm = norms[n][pair_hypotheses] * self.norms[n][matched.pair_references]
            np.add(cosines, np.divide(products, norm, out=np.zeros(num_pairs), where=norm > 0), out=cosines)
        penalties = length_penalties(matched.lengths[pair_hypotheses], matched.reference_lengths)
        similarities = np.bincount(pair_hypotheses, cosines * penalties, len(matched.lengths))
        return _SCALE / MAX_ORDER * similarities / np.diff(matched.pair_starts)

    def _norms(self, tables: list[NgramTable]) -> list[np.ndarray]:
        norms = []
        for table, weights in zip(tables, self.squared_weights, strict=True):
            is_known = table.ids < len(weights)
            squares = np.full(len(table.ids), self._squared_weight_of_new)
            squares[is_known] = weights[table.ids[is_known]]
            squares *= table.counts**2
            norms.append(np.sqrt(np.bincount(table.captions(), squares, len(table.starts) - 1)))
        return norms


def cider_d(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> list[float]:
    """CIDEr-D of each image, in [0, 10]; the corpus has their mean.

    Args:
        hypotheses: One caption per image, as words.
        references: The reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.
    """
    return CiderD(ReferenceNgrams(references)).scores(hypotheses).tolist()
