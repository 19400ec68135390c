"""BLEU-1 to BLEU-4 of a corpus, with coco-caption's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from im2txt.metrics.ngrams import MAX_ORDER, Caption, MatchedHypotheses, ReferenceNgrams

# coco-caption's guards against 0 / 0: they reach the ninth digit of a score, so they are kept.
_TINY = 1e-15
_SMALL = 1e-9
_FAR = 1 << 31  # more than the words of a caption


class BleuStatistics(NamedTuple):
    """All that BLEU needs to know, of each image or, summed over images, of a corpus.

    Attributes:
        hypothesis_length: `[...]`, words in the hypothesis.
        reference_length: `[...]`, words in the reference nearest in length to it, the shorter of two equally near.
        guesses: `[..., 4]`, n-grams in the hypothesis, for n = 1, 2, ...
        correct: `[..., 4]`, those found in a reference too, each at most as often as in the one reference that has it
            most often.
    """

    hypothesis_length: np.ndarray
    reference_length: np.ndarray
    guesses: np.ndarray
    correct: np.ndarray

    def corpus(self) -> BleuStatistics:
        """The sums over all images."""
        return BleuStatistics(*(values.sum(axis=0) for values in self))


def bleu_statistics(matched: MatchedHypotheses) -> BleuStatistics:
    """Counts the n-grams of each hypothesis."""
    lengths = matched.lengths
    guesses = np.maximum(0, lengths[:, None] - np.arange(MAX_ORDER))
    correct = np.zeros_like(guesses)
    for n, (table, matches) in enumerate(zip(matched.tables, matched.matches, strict=True)):
        most = np.zeros(len(table.ids), np.int64)
        np.maximum.at(most, matches.entries, matches.reference_counts)
        np.add.at(correct[:, n], table.captions(), np.minimum(table.counts, most))
    return BleuStatistics(lengths, _nearest_lengths(matched), guesses, correct)


def _nearest_lengths(matched: MatchedHypotheses) -> np.ndarray:
    """The length of the reference that is nearest in length to each hypothesis."""
    of_references = matched.reference_lengths
    differences = np.abs(of_references - matched.lengths[matched.pair_hypotheses()])
    ranks = differences * _FAR + of_references  # The shorter reference breaks a tie.
    return np.minimum.reduceat(ranks, matched.pair_starts[:-1]) % _FAR


def bleu_from_statistics(statistics: BleuStatistics) -> np.ndarray:
    """BLEU-1 to BLEU-4, `[..., 4]` in [0, 1].

    BLEU-N is the geometric mean of the n-gram precisions up to N, times exp(1 - r / h) where the hypotheses (h words)
    are shorter than the references (r words).

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    ratio = (statistics.hypothesis_length + _TINY) / (statistics.reference_length + _SMALL)
    brevity_penalty = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    products = np.cumprod((statistics.correct + _TINY) / (statistics.guesses + _SMALL), axis=-1)
    return brevity_penalty[..., None] * products ** (1 / np.arange(1, MAX_ORDER + 1))


def bleu(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus.

    Args:
        hypotheses: one caption per image, as words.
        references: the reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.
    """
    matched = ReferenceNgrams(references).match(hypotheses)
    return bleu_from_statistics(bleu_statistics(matched).corpus()).tolist()
