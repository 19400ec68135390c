"""The page of one evaluation: its scores, distributions, and every photograph to be searched and sorted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from im2txt.reporting import figures, pages
from im2txt.reporting.figures import Measure
from im2txt.reporting.result_content import CaptionedImage, ResultContent

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "METEOR (Java)", "SPICE (Java)")
"""Higher is better. Whatever else scores.json holds describes the captions."""
_SCENE_MEASURES = {
    "shape": "every shape named is there",
    "colour": "every colour named is there",
    "both": "each shape named has its colour",
    "complete": "and no shape is left out",
}


def page(content: ResultContent) -> str:
    """Returns the page."""
    return pages.render(
        "result_page.html",
        scripts=("captions.js", "result_page.js"),
        data={
            "metrics": _image_metrics(content.images),
            "images": [image_data(image) for image in content.images],
            "cropFraction": content.crop_fraction,
        },
        title=f"{run_name(content.workdir)} · {content.split}",
        result=content.scores,
        chart=_score_chart(content.scores),
        table=score_table(content.scores, METRICS),
        facts=_facts(content.scores),
        scenes=_scenes(content.scene_scores),
        distributions=_distributions(content),
        notes=content.notes,
        image_metrics=_image_metrics(content.images),
        num_images=len(content.images),
        thumbnail_folder=content.thumbnail_folder,
    )


def run_name(workdir: str) -> str:
    """Returns the last part of the run's path."""
    return os.path.basename(os.path.abspath(workdir)) or workdir


def score_table(result: Mapping[str, Any], names: Any) -> list[Measure]:
    """Returns those scores of a scores.json that it has, beside what they are compared with."""
    scores = {**result["scores"], **{f"{name} (Java)": score for name, score in result.get("java_scores", {}).items()}}
    floor = result["floor"]["scores"]
    human, intervals = result["human"]["scores"], result.get("intervals", {})
    return [
        Measure(
            name,
            scores[name],
            tuple(intervals[name]) if name in intervals else None,
            floor.get(name),
            human.get(name),
        )
        for name in names
        if name in scores
    ]


def _facts(result: Mapping[str, Any]) -> list[Measure]:
    """What scores.json says of the captions besides their scores."""
    found = result.get("diagnostics", {})
    floor, human = (result[part].get("diagnostics", {}) for part in ("floor", "human"))
    facts = [Measure(name, value, None, floor.get(name), human.get(name)) for name, value in found.items()]
    # Older evaluations have them among the scores.
    return facts + score_table(result, [name for name in result["scores"] if name not in METRICS])


def _image_metrics(images: Sequence[CaptionedImage]) -> list[str]:
    """The metrics that photographs have scores of; first those that tell single captions apart best."""
    names = dict.fromkeys(name for image in images for name in image.scores)
    first = [name for name in ("CIDEr-D", "ROUGE-L") if name in names]
    return first + [name for name in names if name not in first]


def _score_chart(result: Mapping[str, Any]) -> Markup:
    return figures.score_chart(
        score_table(result, METRICS), "Scores of the run, beside the best constant caption's and one person's"
    )


def _scenes(scene_scores: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if scene_scores is None:
        return []
    right, constant = scene_scores["right"], scene_scores["best_constant"]
    return [
        {"name": f"{name}: {_SCENE_MEASURES[name]}", "run": share, "constant": constant[name]}
        for name, share in right.items()
    ]


def _distributions(content: ResultContent) -> list[dict[str, Any]]:
    """Titles and figures."""
    lengths = {"run-1": content.run_lengths} | ({"human": content.human_lengths} if content.human_lengths else {})
    shown = [{"title": "Words per caption", "figure": figures.histogram(lengths, 1, "words", "Words per caption")}]
    values = {"Log probability of the best caption, nats": _log_probs(content.images)}
    for name in ("CIDEr-D", "ROUGE-L"):
        values[f"{name} of each photograph"] = [image.scores[name] for image in content.images if name in image.scores]
    for title, of_images in values.items():
        if of_images:
            counts, width = figures.binned(of_images)
            shown.append({"title": title, "figure": figures.histogram({"run-1": counts}, width, "", title)})
    return shown


def _log_probs(images: list[CaptionedImage]) -> list[float]:
    return [image.captions[0]["log_prob"] for image in images if image.captions]


def image_data(image: CaptionedImage) -> dict[str, Any]:
    """What the script reads; numbers are cut to what it prints."""
    return {
        "id": image.image_id,
        "name": image.file_name,
        "address": image.address,
        "isSmall": image.is_small,
        "references": image.references,
        "scores": {name: round(value, 4) for name, value in image.scores.items()},
        "captions": [
            {
                "text": caption["caption"],
                "logProb": round(caption["log_prob"], 3),
                "isComplete": caption["is_complete"],
                # Older evaluations have no probabilities of single words.
                "words": caption["words"].split(" ") if caption.get("word_log_probs") else [],
                "wordLogProbs": [round(log_prob, 3) for log_prob in caption.get("word_log_probs", ())],
                # In thousandths: where the decoder looked before each word, for those that look at places.
                "attention": [[round(1000 * share) for share in shares] for shares in caption.get("attention", ())],
            }
            for caption in image.captions
        ],
    }
