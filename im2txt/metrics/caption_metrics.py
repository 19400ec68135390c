"""Scores of captions against reference captions, with coco-caption's words and figures."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from im2txt.metrics.bleu import BleuStatistics, bleu_from_statistics, bleu_statistics
from im2txt.metrics.cider import CiderD
from im2txt.metrics.ngrams import ReferenceNgrams
from im2txt.metrics.rouge import rouge_l
from im2txt.text.coco_tokenization import coco_tokens, split_tokens

BLEU_NAMES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4")
METRICS = (*BLEU_NAMES, "ROUGE-L", "CIDEr-D")
_NAMED_IDS = 5  # at most, in an error


@dataclasses.dataclass(frozen=True)
class CaptionScores:
    """The scores of one caption per image, N images.

    Attributes:
        image_ids: in the order of everything below.
        tokens: the scored captions, as coco-caption tokenizes them.
        statistics: what BLEU counts, `[N]` and `[N, 4]`.
        rouge_l: float64 `[N]` in [0, 1].
        cider_d: float64 `[N]` in [0, 10], weighed by the references of these N images.
    """

    image_ids: list[int]
    tokens: list[list[str]]
    statistics: BleuStatistics
    rouge_l: np.ndarray
    cider_d: np.ndarray

    @property
    def words(self) -> list[list[str]]:
        """The scored captions as words."""
        return list(map(split_tokens, self.tokens))

    def corpus(self) -> dict[str, float]:
        """The scores of `METRICS` over all images, as coco-caption prints them: 0.79 is what papers call 79."""
        once = np.ones((1, len(self.image_ids)))
        return {name: float(values[0]) for name, values in self.resampled(once).items()}

    def of_images(self) -> dict[str, np.ndarray]:
        """The scores of `METRICS` for each image, float64 `[N]`; BLEU as if the image were a corpus."""
        bleu_scores = dict(zip(BLEU_NAMES, bleu_from_statistics(self.statistics).T, strict=True))
        return {**bleu_scores, "ROUGE-L": self.rouge_l, "CIDEr-D": self.cider_d}

    def resampled(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of corpora made of these images, float64 `[R]` each.

        Args:
            counts: `[R, N]`, how often each image is in each corpus. CIDEr-D keeps the weights of the N images.
        """
        sums = counts.astype(np.float64) @ self._columns
        bleu_sums = BleuStatistics(sums[:, 0], sums[:, 1], *np.split(sums[:, 2:-2], 2, axis=1))
        bleu_scores = dict(zip(BLEU_NAMES, bleu_from_statistics(bleu_sums).T, strict=True))
        means = sums[:, -2:].T / counts.sum(axis=1)
        return {**bleu_scores, "ROUGE-L": means[0], "CIDEr-D": means[1]}

    @functools.cached_property
    def _columns(self) -> np.ndarray:
        """All that is summed over images, float64 `[N, 12]`: one product of matrices does it for many samples."""
        return np.column_stack([*self.statistics, self.rouge_l, self.cider_d]).astype(np.float64)


class CaptionScorer:
    """Scores any number of captions of the same images; their references are read once.

    The order of the images matters in one thing, for which coco-caption is to blame: whether a caption that ends in
    `plan b.` has the word `b.` or `b` depends on the caption after it.

    Attributes:
        image_ids: in the order of `references`.
        captions: the references of each image, as given.
        tokens: the references of each image, as coco-caption tokenizes them.
        words: the same as words, which a token may hold two of.
        ngrams: the n-grams of the references.
    """

    def __init__(self, references: Mapping[int, Sequence[str]]) -> None:
        """Reads the references.

        Args:
            references: the reference captions of each image, by image id.

        Raises:
            ValueError: there is nothing to score, or an image has no references.
        """
        _check_references(references)
        self.image_ids = list(references)
        self.captions = list(references.values())
        tokens = iter(coco_tokens(list(itertools.chain.from_iterable(self.captions))))
        self.tokens = [list(itertools.islice(tokens, len(captions))) for captions in self.captions]
        self.words = [list(map(split_tokens, of_image)) for of_image in self.tokens]
        self.ngrams = ReferenceNgrams(self.words)

    @functools.cached_property
    def cider(self) -> CiderD:
        """CIDEr-D, weighed by these references."""
        return CiderD(self.ngrams)

    def score(self, hypotheses: Mapping[int, str]) -> CaptionScores:
        """Scores one caption per image.

        Args:
            hypotheses: the caption to score, by image id. Words joined by spaces score as intended; a caption made for
                display may not (`im2txt.text.tokenization.detokenize` says why).

        Raises:
            ValueError: the captions are not of the images of the references.
        """
        _check_same_images(hypotheses, self.image_ids)
        tokens = coco_tokens([hypotheses[image_id] for image_id in self.image_ids])
        matched = self.ngrams.match(list(map(split_tokens, tokens)))
        # coco-caption's ROUGE-L parts words at spaces only, BLEU and CIDEr-D at no-break spaces too.
        rouge_scores = np.array(rouge_l(tokens, self.tokens))
        return CaptionScores(
            self.image_ids, tokens, bleu_statistics(matched), rouge_scores, self.cider.scores_of(matched)
        )


def score_captions(hypotheses: Mapping[int, str], references: Mapping[int, Sequence[str]]) -> dict[str, float]:
    """Scores one caption per image.

    Args:
        hypotheses: the caption to score, by image id.
        references: the reference captions of each image, by image id.

    Returns:
        `BLEU-1` .. `BLEU-4` and `ROUGE-L` in [0, 1], `CIDEr-D` in [0, 10]. `CIDEr-D` is 0 for a single image, and
        comparable only between scores on the same images.

    Raises:
        ValueError: there is nothing to score, or an image lacks its hypothesis or its references.
    """
    return CaptionScorer(references).score(hypotheses).corpus()


def human_captions(
    references: Mapping[int, Sequence[str]],
) -> tuple[dict[int, str], dict[int, Sequence[str]]]:
    """People's captions to be scored: the first reference of each image, and the others to score it against.

    A model is scored against one reference more, which helps it a little.

    Raises:
        ValueError: an image has fewer than two references.
    """
    too_few = [image_id for image_id, captions in references.items() if len(captions) < 2]
    if too_few:
        raise ValueError(
            f"Images with fewer than two references: {some_ids(too_few)}. Scoring the first against "
            "the others needs two; leave those images out."
        )
    firsts = {image_id: captions[0] for image_id, captions in references.items()}
    return firsts, {image_id: captions[1:] for image_id, captions in references.items()}


def some_ids(image_ids: Sequence[int]) -> str:
    """The first ids of a list that may be long, for a message."""
    named = ", ".join(map(str, image_ids[:_NAMED_IDS]))
    more = len(image_ids) - _NAMED_IDS
    return f"{named} and {more} more" if more > 0 else named


def _check_references(references: Mapping[int, Sequence[str]]) -> None:
    if not references:
        raise ValueError("No references: there is nothing to score.")
    single = [image_id for image_id, captions in references.items() if isinstance(captions, str)]
    if single:
        raise ValueError(
            f"References must be a list of captions for each image, but are one string for images: "
            f"{some_ids(single)}. Put each into a list."
        )
    without = [image_id for image_id, captions in references.items() if not captions]
    if without:
        raise ValueError(f"Images without references: {some_ids(without)}. Add some or leave them out.")


def _check_same_images(hypotheses: Mapping[int, str], image_ids: Sequence[int]) -> None:
    known = set(image_ids)
    for what, missing in (
        ("a hypothesis", [i for i in image_ids if i not in hypotheses]),
        ("references", [i for i in hypotheses if i not in known]),
    ):
        if missing:
            raise ValueError(
                f"Images without {what}: {some_ids(missing)}. Hypotheses and references must be of the "
                f"same images; here they are of {len(hypotheses)} and {len(image_ids)}."
            )
