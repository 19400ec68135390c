"""Captions that any program made, and the references to score them against: COCO's files of results and annotations."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from im2txt.metrics.caption_metrics import some_ids
from im2txt.system import storage
from im2txt.system.json_text import JsonError, parse_json

RESULTS_NAME = "captions.json"
"""Of COCO results in the folders that this project writes."""
_RESULTS_FORM = '[{"image_id": 42, "caption": "a dog runs"}, ...]'
_ANNOTATIONS_FORM = (
    '{"images": [{"id": 42, ...}, ...], "annotations": [{"image_id": 42, "caption": "a dog runs", ...}, ...]}'
)


class Exclusion(NamedTuple):
    """Images that are not scored.

    Attributes:
        reason: why, as a table says it.
        image_ids: which.
    """

    reason: str
    image_ids: list[int]

    def __str__(self) -> str:
        return f"{len(self.image_ids)} {self.reason}: {some_ids(self.image_ids)}"


class ScoredImages(NamedTuple):
    """What is left to score when results and references do not cover the same images.

    Attributes:
        hypotheses: by image id.
        references: by image id, in the order of their file.
        excluded: the others.
    """

    hypotheses: dict[int, str]
    references: dict[int, list[str]]
    excluded: list[Exclusion]


def read_results(path: str) -> dict[int, str]:
    """Reads a COCO results file: one caption per image.

    Args:
        path: the file, or a folder that holds one as `captions.json`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another format, is empty, or has several captions of an image.
    """
    if os.path.isdir(path):
        path = os.path.join(path, RESULTS_NAME)
        if not os.path.exists(path):
            raise FileNotFoundError(
                f"No {path}: im2txt.batch_inference writes it at the end, of the format jsonl, where the "
                "photographs' ids are whole numbers. Name such a folder, or a COCO results file."
            )
    rows = _read_json(path, "results", _RESULTS_FORM)
    if not isinstance(rows, list) or not all(map(_is_caption, rows)):
        raise ValueError(
            f"{path} is no COCO results file, which looks like {_RESULTS_FORM}, with whole numbers as ids."
        )
    if not rows:
        raise ValueError(f"{path} holds no captions: there is nothing to score.")
    repeated = [image_id for image_id, count in Counter(row["image_id"] for row in rows).items() if count > 1]
    if repeated:
        raise ValueError(f"{path} has more than one caption of images: {some_ids(repeated)}. Keep one of each.")
    _check_characters(path, rows)
    return {row["image_id"]: row["caption"] for row in rows}


def read_annotations(path: str) -> dict[int, list[str]]:
    """Reads COCO's caption annotations: the references of each image, in the file's order; none for some, perhaps.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another format, no images, or captions of images that it does not list.
    """
    content = _read_json(path, "references", _ANNOTATIONS_FORM)
    images = content.get("images") if isinstance(content, dict) else None
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not (
        isinstance(images, list)
        and isinstance(annotations, list)
        and all(isinstance(image, dict) and _is_id(image.get("id")) for image in images)
        and all(map(_is_caption, annotations))
    ):
        raise ValueError(f"{path} is no file of COCO caption annotations, which looks like {_ANNOTATIONS_FORM}.")
    if not images:
        raise ValueError(f"{path} lists no images: there is nothing to score.")
    references: dict[int, list[str]] = {image["id"]: [] for image in images}
    unlisted = list(dict.fromkeys(row["image_id"] for row in annotations if row["image_id"] not in references))
    if unlisted:
        raise ValueError(f"{path} has captions of images that it does not list: {some_ids(unlisted)}.")
    _check_characters(path, annotations)
    for row in annotations:
        references[row["image_id"]].append(row["caption"])
    return references


def match_images(
    results: Mapping[int, str], references: Mapping[int, Sequence[str]], of_whom: str = "the references"
) -> ScoredImages:
    """Leaves out what cannot be scored, and says what that is.

    Args:
        results: captions, by image id.
        references: what to score them against, by image id; none for some, perhaps.
        of_whom: what the references' images are called where they are not all that the references' file lists.

    Raises:
        ValueError: nothing is left.
    """
    known = {image_id: list(captions) for image_id, captions in references.items() if captions and image_id in results}
    excluded = [
        Exclusion(f"results of images that are not among {of_whom}", [i for i in results if i not in references]),
        Exclusion("images without a result", [i for i in references if i not in results]),
        Exclusion("images without references", [i for i in results if i in references and not references[i]]),
    ]
    if not known:
        described = [image_id for image_id, captions in references.items() if captions]
        raise ValueError(
            f"None of {len(results)} results is of an image with references, of which there are {len(described)}: the "
            f"results are of images {some_ids(list(results))}; the references of {some_ids(described) or 'none'}."
        )
    hypotheses = {image_id: results[image_id] for image_id in known}
    return ScoredImages(hypotheses, known, [exclusion for exclusion in excluded if exclusion.image_ids])


def _read_json(path: str, what: str, form: str) -> Any:
    if not storage.exists(path):
        raise FileNotFoundError(f"No {path}: the {what} are read from there.")
    try:
        return parse_json(storage.read_text(path).removeprefix("\ufeff"))
    except JsonError as error:
        raise ValueError(f"{path} is {error}; the {what} look like {form}.") from error


def _check_characters(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        try:
            row["caption"].encode()
        except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair.
            raise ValueError(
                f"{path}: the caption of image {row['image_id']} holds {error.object[error.start]!r}, which is no "
                "character. Mend or remove it."
            ) from error


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_caption(row: object) -> bool:
    return isinstance(row, dict) and _is_id(row.get("image_id")) and isinstance(row.get("caption"), str)
