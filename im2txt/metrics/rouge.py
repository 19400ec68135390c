"""ROUGE-L: how long a subsequence of words a caption shares with its references."""

from collections.abc import Sequence

from im2txt.metrics.bleu import check_aligned

_BETA_SQUARED = 1.2**2  # recall counts more than precision; coco-caption's value


def common_subsequence_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Words in the longest sequence that both captions hold in order, gaps allowed.

    Bit i of `row` is 0 where the longest common subsequence grows with word i of `first`, so that
    one addition of whole numbers does a row of the usual table.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    all_ones = (1 << len(first)) - 1
    row = all_ones
    for word in second:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & all_ones
    return len(first) - row.bit_count()


def rouge_l(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """ROUGE-L of each image, in [0, 1]; the corpus has their mean.

    As in coco-caption, the best precision and the best recall may come from two references of an
    image, and F weighs recall beta^2 = 1.44 times. A caption without words scores 0.

    Args:
        hypotheses: One caption per image, as words.
        references: The reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.

    Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries".
    """
    check_aligned(hypotheses, references)
    scores = []
    for hypothesis, image_references in zip(hypotheses, references, strict=True):
        common = [common_subsequence_length(hypothesis, reference) for reference in image_references]
        precision = max(common) / max(1, len(hypothesis))
        recall = max(
            length / max(1, len(reference)) for length, reference in zip(common, image_references, strict=True)
        )
        denominator = recall + _BETA_SQUARED * precision
        scores.append((1 + _BETA_SQUARED) * precision * recall / denominator if denominator else 0.0)
    return scores
