"""Scores of captions against reference captions, with coco-caption's words and figures.

METEOR and SPICE are not here: both are Java programs with data of their own, and a re-creation
would give other figures under the same names.
"""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from im2txt.metrics.bleu import Ngram, bleu
from im2txt.metrics.cider import CaptionVector, CiderD, cider_d, length_penalty
from im2txt.metrics.rouge import rouge_l
from im2txt.text.tokenization import tokenizer

# Few captions of people end so, and many of a decoder that was cut off or lost its thread.
_BAD_ENDINGS = (
    "a an the and or of with in on at to for from by into onto near next is are was were that "
    "which while as his her its their"
)
_NAMED_IDS = 5  # at most, in an error
_SHORTLIST = 20  # constant captions that are scored exactly


def score_captions(hypotheses: Mapping[int, str], references: Mapping[int, Sequence[str]]) -> dict[str, float]:
    """Scores one caption per image.

    Args:
        hypotheses: The caption to score, by image id. Words joined by spaces score as intended;
            a caption made for display may not (`im2txt.text.tokenization.detokenize` says why).
        references: The reference captions of each image, by image id.

    Returns:
        `BLEU-1` .. `BLEU-4` and `ROUGE-L` in [0, 1], `CIDEr-D` in [0, 10] as coco-caption prints
        them: 0.79 is what papers call 79. `CIDEr-D` is 0 for a single image, and comparable only
        between scores on the same images. Besides them, what a score can hide, in the words of
        the `coco` tokenizer: `unique_captions_share` (different captions among all, above 0 to 1),
        `vocabulary_used` (different words), `mean_length` (words), `bad_ending_share` (captions
        whose last word leaves something open: `a`, `with`, `of`, ...; 0 to 1).

    Raises:
        ValueError: there is nothing to score, or an image lacks its hypothesis or its references.
    """
    _check_references(references)
    _check_same_images(hypotheses, references)
    words_of = tokenizer("coco")
    hypothesis_words = [words_of(hypothesis) for hypothesis in hypotheses.values()]
    reference_words = [[words_of(reference) for reference in references[i]] for i in hypotheses]
    count = len(hypothesis_words)
    bleu_scores = bleu(hypothesis_words, reference_words)
    bad_endings = set(_BAD_ENDINGS.split())
    return {
        **{f"BLEU-{n}": score for n, score in enumerate(bleu_scores, 1)},
        "ROUGE-L": sum(rouge_l(hypothesis_words, reference_words)) / count,
        "CIDEr-D": sum(cider_d(hypothesis_words, reference_words)) / count,
        "unique_captions_share": len(set(map(tuple, hypothesis_words))) / count,
        "vocabulary_used": float(len({word for words in hypothesis_words for word in words})),
        "mean_length": sum(map(len, hypothesis_words)) / count,
        "bad_ending_share": sum(not bad_endings.isdisjoint(words[-1:]) for words in hypothesis_words) / count,
    }


def human_ceiling(references: Mapping[int, Sequence[str]]) -> dict[str, float]:
    """Scores people: the first reference of each image as its caption, against the others.

    A model is scored against one reference more, which helps it a little.

    Returns:
        The scores of `score_captions`.

    Raises:
        ValueError: there is nothing to score, or an image has fewer than two references.
    """
    too_few = [image_id for image_id, captions in references.items() if len(captions) < 2]
    if too_few:
        raise ValueError(
            f"Images with fewer than two references: {_some(too_few)}. Scoring the first against "
            "the others needs two; leave those images out."
        )
    return score_captions(
        {image_id: captions[0] for image_id, captions in references.items()},
        {image_id: captions[1:] for image_id, captions in references.items()},
    )


def best_constant_caption(
    references: Mapping[int, Sequence[str]],
) -> tuple[str, dict[str, float]]:
    """The floor: the reference caption that scores best when given to every image.

    Best by CIDEr-D; another caption may have a higher BLEU. All different reference captions are
    ranked by an approximation that needs no pass over the references for each: CIDEr-D without
    clipping, times the mean length penalty. The first 20 are then scored exactly, which on 1,000
    images of Flickr8k finds the same caption as scoring all 4,992 exactly. The choice looks at the
    references that it is scored on: no constant caption chosen honestly does better.

    Returns:
        The caption, and its scores by `score_captions`.

    Raises:
        ValueError: there is nothing to score, or an image has no reference.
    """
    _check_references(references)
    words_of = tokenizer("coco")
    reference_words = []
    spellings: dict[tuple[str, ...], str] = {}
    for captions in references.values():
        reference_words.append([words_of(caption) for caption in captions])
        for words, caption in zip(reference_words[-1], captions, strict=True):
            spellings.setdefault(tuple(words), caption)
    cider = CiderD(reference_words)
    shortlist = _likely_constants(cider, reference_words, spellings)
    totals = dict.fromkeys(shortlist, 0.0)
    for image_references in reference_words:
        vectors = [cider.vector(words) for words in image_references]
        for constant, constant_vector in shortlist.items():
            similarities = [cider.similarity(constant_vector, vector) for vector in vectors]
            totals[constant] += sum(similarities) / len(similarities)
    best = spellings[max(totals, key=totals.__getitem__)]
    return best, score_captions(dict.fromkeys(references, best), references)


def _likely_constants(
    cider: CiderD,
    references: Sequence[Sequence[Sequence[str]]],
    captions: Iterable[tuple[str, ...]],
) -> dict[tuple[str, ...], CaptionVector]:
    """The captions with the highest approximate CIDEr-D as the caption of every image."""
    direction: defaultdict[Ngram, float] = defaultdict(float)  # sum of the normalised references
    lengths: Counter[int] = Counter()
    for words in itertools.chain.from_iterable(references):
        vector = cider.vector(words)
        lengths[vector.bigrams] += 1
        for ngram, part in _normalised(vector):
            direction[ngram] += part

    def approximate_score(caption: tuple[tuple[str, ...], CaptionVector]) -> float:
        vector = caption[1]
        cosines = sum(part * direction[ngram] * cider.squared_weights[ngram] for ngram, part in _normalised(vector))
        return cosines * sum(images * length_penalty(vector.bigrams, bigrams) for bigrams, images in lengths.items())

    vectors = ((words, cider.vector(words)) for words in captions)
    return dict(heapq.nlargest(_SHORTLIST, vectors, key=approximate_score))


def _normalised(vector: CaptionVector) -> Iterator[tuple[Ngram, float]]:
    for counts, norm in zip(vector.counts, vector.norms, strict=True):
        if norm:
            yield from ((ngram, count / norm) for ngram, count in counts.items())


def _check_references(references: Mapping[int, Sequence[str]]) -> None:
    if not references:
        raise ValueError("No references: there is nothing to score.")
    single = [image_id for image_id, captions in references.items() if isinstance(captions, str)]
    if single:
        raise ValueError(
            f"References must be a list of captions for each image, but are one string for images: "
            f"{_some(single)}. Put each into a list."
        )
    without = [image_id for image_id, captions in references.items() if not captions]
    if without:
        raise ValueError(f"Images without references: {_some(without)}. Add some or leave them out.")


def _check_same_images(hypotheses: Mapping[int, str], references: Mapping[int, object]) -> None:
    for what, missing in (
        ("a hypothesis", [i for i in references if i not in hypotheses]),
        ("references", [i for i in hypotheses if i not in references]),
    ):
        if missing:
            raise ValueError(
                f"Images without {what}: {_some(missing)}. Hypotheses and references must be of the "
                f"same images; here they are of {len(hypotheses)} and {len(references)}."
            )


def _some(image_ids: Sequence[int]) -> str:
    named = ", ".join(map(str, image_ids[:_NAMED_IDS]))
    more = len(image_ids) - _NAMED_IDS
    return f"{named} and {more} more" if more > 0 else named
