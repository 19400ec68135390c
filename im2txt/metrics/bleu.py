"""BLEU-1 to BLEU-4 of a corpus, with coco-caption's figures."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

MAX_ORDER = 4

# coco-caption's guards against 0 / 0: they reach the ninth digit of a score, so they are kept.
_TINY = 1e-15
_SMALL = 1e-9

Ngram = tuple[str, ...]


class BleuStatistics(NamedTuple):
    """All that BLEU needs to know of a corpus. Two corpora together have the sums of both.

    Attributes:
        hypothesis_length: Words in the hypotheses.
        reference_length: Words in the references, counting for each image the one nearest in length
            to the hypothesis, the shorter of two equally near.
        guesses: n-grams in the hypotheses, for n = 1, 2, ...
        correct: Those found in a reference too, each at most as often as in the one reference of
            its image that has it most often.
    """

    hypothesis_length: int
    reference_length: int
    guesses: tuple[int, ...]
    correct: tuple[int, ...]


def check_aligned(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> None:
    """Refuses lists of different lengths and images without a reference.

    Raises:
        ValueError: one of the two, with the lengths or the position.
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"Found {len(hypotheses)} hypotheses but references of {len(references)} images; "
            "each image needs one hypothesis and its references, in the same order."
        )
    for position, image_references in enumerate(references):
        if not image_references:
            raise ValueError(f"Image number {position} has no reference; leave it out or add one.")


def ngram_counts(words: Sequence[str]) -> list[Counter[Ngram]]:
    """How often each n-gram occurs: one counter for each n = 1 .. `MAX_ORDER`."""
    shifted = [words[start:] for start in range(MAX_ORDER)]
    return [Counter(zip(*shifted[:order], strict=False)) for order in range(1, MAX_ORDER + 1)]


def bleu_statistics(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> BleuStatistics:
    """Counts the n-grams of a corpus.

    Args:
        hypotheses: One caption per image, as words.
        references: The reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.
    """
    check_aligned(hypotheses, references)
    hypothesis_length = reference_length = 0
    guesses, correct = [0] * MAX_ORDER, [0] * MAX_ORDER
    for hypothesis, image_references in zip(hypotheses, references, strict=True):
        length = len(hypothesis)
        hypothesis_length += length
        reference_length += min(map(len, image_references), key=lambda candidate: (abs(candidate - length), candidate))
        reference_counts = [ngram_counts(reference) for reference in image_references]
        for n, counts in enumerate(ngram_counts(hypothesis)):
            guesses[n] += max(0, length - n)
            for ngram, count in counts.items():
                correct[n] += min(count, max(of_one[n][ngram] for of_one in reference_counts))
    return BleuStatistics(hypothesis_length, reference_length, tuple(guesses), tuple(correct))


def bleu_from_statistics(statistics: BleuStatistics) -> list[float]:
    """BLEU-1, BLEU-2, ... of a corpus, each in [0, 1]: one for every n that was counted.

    BLEU-N is the geometric mean of the n-gram precisions up to N, times exp(1 - r / h) where the
    hypotheses (h words) are shorter than the references (r words).

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    ratio = (statistics.hypothesis_length + _TINY) / (statistics.reference_length + _SMALL)
    brevity_penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n, (guesses, correct) in enumerate(zip(statistics.guesses, statistics.correct, strict=True), 1):
        product *= (correct + _TINY) / (guesses + _SMALL)
        scores.append(brevity_penalty * product ** (1 / n))
    return scores


def bleu(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus; the arguments and errors of `bleu_statistics`."""
    return bleu_from_statistics(bleu_statistics(hypotheses, references))
