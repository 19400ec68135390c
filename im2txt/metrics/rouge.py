"""ROUGE-L: how long a subsequence of words a caption shares with its references."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from im2txt.metrics.ngrams import Caption

_BETA_SQUARED = 1.2**2  # recall counts more than precision; coco-caption's value
_NO_WORDS = [""]  # What coco-caption makes of an empty caption: one word, the same in all of them.


def word_places(words: Sequence[Hashable]) -> dict[Hashable, int]:
    """For each word a whole number whose bit i is set where the word stands at place i."""
    places: dict[Hashable, int] = {}
    for i, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << i
    return places


def common_subsequence_length(places: Mapping[Hashable, int], length: int, other: Sequence[Hashable]) -> int:
    """Words in the longest sequence that two captions hold in order, gaps allowed.

    Bit i of `row` is 0 where the longest common subsequence grows with word i of the first caption, so that one
    addition of whole numbers does a row of the usual table.

    Args:
        places: `word_places` of the first caption.
        length: its words.
        other: the second caption.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    all_ones = (1 << length) - 1
    row = all_ones
    for word in other:
        if word in places:
            matches = row & places[word]
            row = (row + matches | row - matches) & all_ones
    return length - row.bit_count()


def rouge_l(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> list[float]:
    """ROUGE-L of each image, in [0, 1]; the corpus has their mean.

    As in coco-caption, the best precision and the best recall may come from two references of an image, and F weighs
    recall beta^2 = 1.44 times. A caption without words scores 0, or 1 if a reference has none either.

    Args:
        hypotheses: One caption per image, as words.
        references: The reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.

    Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries".
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"Found {len(hypotheses)} hypotheses but references of {len(references)} images.")
    scores = []
    for position, (hypothesis, image_references) in enumerate(zip(hypotheses, references, strict=True)):
        if not image_references:
            raise ValueError(f"Image number {position} has no reference; leave it out or add one.")
        words = hypothesis or _NO_WORDS
        places, num_words = word_places(words), len(words)
        precision = recall = 0.0
        for reference in image_references:
            common = common_subsequence_length(places, num_words, reference or _NO_WORDS)
            precision = max(precision, common / num_words)
            recall = max(recall, common / (len(reference) or 1))
        denominator = recall + _BETA_SQUARED * precision
        scores.append((1 + _BETA_SQUARED) * precision * recall / denominator if denominator else 0.0)
    return scores
