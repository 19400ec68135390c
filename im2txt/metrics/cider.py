"""CIDEr-D: how alike a caption and its references are in the n-grams that tell images apart."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from im2txt.metrics.bleu import MAX_ORDER, Ngram, check_aligned, ngram_counts

_SCALE = 10.0
_LENGTH_VARIANCE = 6.0**2  # of the penalty on a difference in length, in bigrams squared


class CaptionVector(NamedTuple):
    """One caption's n-grams, weighed.

    Attributes:
        counts: How often each n-gram occurs, for n = 1 .. `MAX_ORDER`.
        norms: The Euclidean norm of count times inverse document frequency, for each n.
        bigrams: How many bigrams the caption has: coco-caption takes this for its length.
    """

    counts: list[Counter[Ngram]]
    norms: list[float]
    bigrams: int


def length_penalty(hypothesis_bigrams: int, reference_bigrams: int) -> float:
    """The factor in (0, 1] on captions of different lengths: a Gaussian of the difference."""
    return math.exp(-((hypothesis_bigrams - reference_bigrams) ** 2) / (2 * _LENGTH_VARIANCE))


class CiderD:
    """Scores captions against references, weighing n-grams by the images that the references share.

    An n-gram of the references of every image weighs nothing, so scores of different sets of images
    do not compare, and **a single image always scores 0**.

    Attributes:
        squared_weights: The squared inverse document frequency of each n-gram in the references.

    Source: Vedantam et al. 2015, "CIDEr: consensus-based image description evaluation", as
    coco-caption computes it.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        """Weighs the n-grams of the references.

        Args:
            references: The reference captions of each image, as words.
        """
        images_with: Counter[Ngram] = Counter()
        for image_references in references:
            images_with.update(
                {ngram for reference in image_references for counts in ngram_counts(reference) for ngram in counts}
            )
        log_images = math.log(max(1, len(references)))
        self.squared_weights = {ngram: (log_images - math.log(images)) ** 2 for ngram, images in images_with.items()}
        self._squared_weight_of_unseen = log_images**2

    def vector(self, words: Sequence[str]) -> CaptionVector:
        """The n-grams of one caption, weighed."""
        counts = ngram_counts(words)
        weight, unseen = self.squared_weights.get, self._squared_weight_of_unseen
        norms = [
            math.sqrt(sum(count * count * weight(ngram, unseen) for ngram, count in of_n.items())) for of_n in counts
        ]
        return CaptionVector(counts, norms, max(0, len(words) - 1))

    def similarity(self, hypothesis: CaptionVector, reference: CaptionVector) -> float:
        """How alike two captions are, in [0, 10].

        The cosine between both, with the hypothesis's counts clipped to the reference's, averaged
        over n, times the length penalty.
        """
        total = 0.0
        for n in range(MAX_ORDER):
            norm = hypothesis.norms[n] * reference.norms[n]
            if norm == 0.0:
                continue
            of_reference = reference.counts[n]
            product = 0.0
            for ngram, count in hypothesis.counts[n].items():
                if ngram in of_reference:
                    in_reference = of_reference[ngram]
                    weight = self.squared_weights[ngram]
                    product += min(count, in_reference) * in_reference * weight
            total += product / norm
        return _SCALE * length_penalty(hypothesis.bigrams, reference.bigrams) * total / MAX_ORDER


def cider_d(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """CIDEr-D of each image, in [0, 10]: the mean over its references; the corpus has their mean.

    Args:
        hypotheses: One caption per image, as words.
        references: The reference captions of each image, in the order of `hypotheses`.

    Raises:
        ValueError: the two do not belong together, or an image has no reference.
    """
    check_aligned(hypotheses, references)
    cider = CiderD(references)
    scores = []
    for hypothesis, image_references in zip(hypotheses, references, strict=True):
        vector = cider.vector(hypothesis)
        similarities = [cider.similarity(vector, cider.vector(reference)) for reference in image_references]
        scores.append(sum(similarities) / len(similarities))
    return scores
