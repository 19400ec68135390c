"""Captions scored, compared with others, and written down as scores.json and image_scores.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from im2txt.inference.caption_files import Exclusion, ScoredImages, match_images, read_annotations, read_results
from im2txt.metrics.caption_metrics import CaptionScorer, CaptionScores
from im2txt.metrics.diagnostics import as_words
from im2txt.metrics.evaluation import evaluate
from im2txt.metrics.intervals import compare
from im2txt.metrics.java_metrics import check_java_metric, java_metric
from im2txt.system import storage


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is asked for besides the scores.

    Attributes:
        java_metrics: some of `JAVA_METRICS`.
        other_results: path of the captions to compare with; empty for none.
        others: those captions, by image id.
    """

    java_metrics: tuple[str, ...] = ()
    other_results: str = ""
    others: Mapping[int, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def prepare(cls, java_metrics: tuple[str, ...] = (), other_results: str = "") -> Extras:
        """Refuses what cannot be done, before any work.

        Raises:
            RuntimeError: what a Java metric needs is not installed.
            FileNotFoundError: the file of the other captions is missing.
            ValueError: it is no COCO results file.
        """
        for name in java_metrics:
            check_java_metric(name)
        return cls(java_metrics, other_results, read_results(other_results) if other_results else {})


def score_results(
    results: str, references: str, output_dir: str, extras: Extras, training_references: str = ""
) -> dict[str, Any]:
    """Scores a COCO results file against COCO caption annotations.

    Args:
        results: path of the captions.
        references: path of the annotations.
        output_dir: made if absent; empty writes nothing.
        extras: see there.
        training_references: annotations whose captions count as copied; empty if they are not known.

    Returns:
        The content of scores.json: `results`, `references`, and what `score_and_write` says.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one has another format, or they share no image.
        RuntimeError: a Java program failed.
    """
    images = match_images(read_results(results), read_annotations(references))
    training = None
    if training_references:
        training = [caption for captions in read_annotations(training_references).values() for caption in captions]
    return score_and_write({"results": results, "references": references}, images, training, output_dir, extras)


def score_and_write(
    head: Mapping[str, Any],
    images: ScoredImages,
    training_captions: Sequence[str] | None,
    output_dir: str,
    extras: Extras,
) -> dict[str, Any]:
    """Scores captions and writes what is known of them.

    Args:
        head: what scores.json begins with.
        images: captions, references, and what is left out.
        training_captions: what the captions may be copied from; None if that is not known.
        output_dir: made if absent; empty writes nothing.
        extras: see there.

    Returns:
        The content of scores.json: `head`; the summary of `im2txt.metrics.evaluation`; `java_scores` of the Java
        metrics; `excluded`, a list of the `reason`, the `count` and the `image_ids` of images that are not scored; and,
        beside other captions, `comparison`: `other`, `num_images`, `excluded` and the `metrics` of
        `im2txt.metrics.intervals.compare`. image_scores.json has one entry per image: `image_id`, `caption`, `scores`.

    Raises:
        ValueError: the captions to compare with are of other images.
        RuntimeError: a Java program failed.
    """
    scorer = CaptionScorer(images.references)
    training = as_words(training_captions) if training_captions is not None else None
    evaluation = evaluate(scorer, images.hypotheses, training)
    of_images, java_scores = evaluation.scores.of_images(), {}
    for name in extras.java_metrics:
        java_scores[name], of_images[name] = java_metric(name, scorer, evaluation.scores)
    summary = {**head, **evaluation.summary, "java_scores": java_scores, "excluded": _described(images.excluded)}
    if extras.other_results:
        summary["comparison"] = _compare(images, scorer, evaluation.scores, extras)
    if output_dir:
        storage.make_directory(output_dir)
        _write(output_dir, "image_scores", _image_rows(images.hypotheses, evaluation.scores.image_ids, of_images))
        _write(output_dir, "scores", summary)
    return summary


def _compare(images: ScoredImages, scorer: CaptionScorer, scores: CaptionScores, extras: Extras) -> dict[str, Any]:
    """Compares on the images that both have captioned."""
    shared = match_images(extras.others, images.references, of_whom="those compared with")
    if len(shared.references) < len(images.references):
        scorer = CaptionScorer(shared.references)
        scores = scorer.score({image_id: images.hypotheses[image_id] for image_id in shared.references})
    return {
        "other": extras.other_results,
        "num_images": len(shared.references),
        "excluded": _described(shared.excluded),
        "metrics": compare(scores, scorer.score(shared.hypotheses)),
    }


def _described(excluded: Sequence[Exclusion]) -> list[dict[str, Any]]:
    return [{"reason": e.reason, "count": len(e.image_ids), "image_ids": e.image_ids} for e in excluded]


def _image_rows(
    captions: Mapping[int, str], image_ids: Sequence[int], of_images: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in of_images.items()}
    return [
        {
            "image_id": image_id,
            "caption": captions[image_id],
            "scores": {name: values[i] for name, values in columns.items()},
        }
        for i, image_id in enumerate(image_ids)
    ]


def _write(output_dir: str, name: str, content: Any) -> None:
    storage.write_text(storage.join(output_dir, f"{name}.json"), json.dumps(content, indent=1, ensure_ascii=False))
