"""All figures of a set of captions: scores with intervals, what they hide, the floor and the ceiling."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from im2txt.metrics.caption_metrics import CaptionScorer, CaptionScores, human_captions
from im2txt.metrics.constant_caption import best_constant_caption
from im2txt.metrics.diagnostics import Words, diagnose
from im2txt.metrics.intervals import confidence_intervals


class Evaluation(NamedTuple):
    """What is known of a set of captions.

    Attributes:
        summary: `num_images`; `scores`; `intervals`, the two ends for each score; `diagnostics`; `floor`, the
            `caption`, `scores` and `diagnostics` of the best constant caption; `human`, the `scores` and `diagnostics`
            of one reference against the others, both empty if an image has but one.
        scores: of each image.
    """

    summary: dict[str, Any]
    scores: CaptionScores


def evaluate(
    scorer: CaptionScorer, hypotheses: Mapping[int, str], training_captions: Collection[Words] | None = None
) -> Evaluation:
    """Scores one caption per image and sets it between a constant caption and a person's.

    Args:
        scorer: with the references.
        hypotheses: the captions, by image id.
        training_captions: `diagnostics.as_words` of what the captions may have been copied from; None if unknown.

    Raises:
        ValueError: the captions are not of the images of the references.
    """
    scores = scorer.score(hypotheses)
    constant = best_constant_caption(scorer)
    references = dict(zip(scorer.image_ids, scorer.captions, strict=True))
    floor = _described(scorer, dict.fromkeys(references, constant), training_captions)
    summary = {
        "num_images": len(scorer.image_ids),
        "scores": scores.corpus(),
        "intervals": confidence_intervals(scores),
        "diagnostics": diagnose(scores.words, scorer.words, training_captions),
        "floor": {"caption": constant, **floor},
        "human": _human(references, training_captions),
    }
    return Evaluation(summary, scores)


def _human(references: Mapping[int, Sequence[str]], training_captions: Collection[Words] | None) -> dict[str, Any]:
    """Empty where an image has but one caption, which leaves nothing to score it against."""
    if min(map(len, references.values())) < 2:
        return {"scores": {}, "diagnostics": {}}
    firsts, others = human_captions(references)
    return _described(CaptionScorer(others), firsts, training_captions)


def _described(
    scorer: CaptionScorer, hypotheses: Mapping[int, str], training_captions: Collection[Words] | None
) -> dict[str, Any]:
    scores = scorer.score(hypotheses)
    return {"scores": scores.corpus(), "diagnostics": diagnose(scores.words, scorer.words, training_captions)}
