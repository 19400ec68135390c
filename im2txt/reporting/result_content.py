"""What a result page shows: one evaluation of a run, gathered from the run's folder and its shards."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from im2txt.metrics.cider import cider_d
from im2txt.metrics.rouge import rouge_l
from im2txt.reporting import thumbnails
from im2txt.reporting.run_documents import read_config, read_json, read_scores
from im2txt.runs import run_files
from im2txt.shards.manifest import Manifest
from im2txt.shards.references import References
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.text.tokenization import tokenizer

SMALL_PIXELS = 128
"""Photographs of so few pixels, drawings mostly, are shown as the squares they are."""


@dataclasses.dataclass(frozen=True)
class CaptionedImage:
    """A photograph with its captions.

    Attributes:
        image_id: the source's.
        file_name: as the source named it.
        address: of its thumbnail, relative to the page; empty if the shards no longer have it.
        is_small: whether it has few pixels.
        captions: as in candidates.json, best first; may be empty.
        references: captions that people wrote; empty if the shards are gone.
        scores: of the best caption, by metric; empty without references.
    """

    image_id: int
    file_name: str
    address: str
    is_small: bool
    captions: list[dict[str, Any]]
    references: list[str]
    scores: dict[str, float]


@dataclasses.dataclass(frozen=True)
class ResultContent:
    """Everything on the page.

    Attributes:
        workdir: the run's folder.
        split: the scored split.
        scores: scores.json.
        scene_scores: scene_scores.json, for drawn scenes only.
        images: in the order of candidates.json.
        run_lengths: how many best captions have how many words.
        human_lengths: the same of the references; empty without them.
        notes: what is missing or left out, counted.
        thumbnail_folder: name of the folder that belongs to the page; empty if it needs none.
        crop_fraction: share of the photographs' height and width that the encoder saw, at their centre.
    """

    workdir: str
    split: str
    scores: dict[str, Any]
    scene_scores: dict[str, Any] | None
    images: list[CaptionedImage]
    run_lengths: dict[int, int]
    human_lengths: dict[int, int]
    notes: list[str]
    thumbnail_folder: str
    crop_fraction: float


class _Evaluated(NamedTuple):
    """What a run's folder says of an evaluation.

    Attributes:
        results_dir: where it lies.
        scores: scores.json.
        candidates: candidates.json.
        data_dir: the shards the run was trained on.
        crop_fraction: see `ResultContent`.
    """

    results_dir: str
    scores: dict[str, Any]
    candidates: list[dict[str, Any]]
    data_dir: str
    crop_fraction: float


class _Shown(NamedTuple):
    """Thumbnails that have their place: addresses and the photographs' widths by image id, and `thumbnail_folder`."""

    addresses: Mapping[int, str] = MappingProxyType({})
    widths: Mapping[int, int] = MappingProxyType({})
    folder: str = ""


def gather(workdir: str, split: str, data_dir: str, page_path: str, embedded_bytes: int) -> ResultContent:
    """Reads an evaluation; thumbnails that do not fit into the page are written beside it.

    Args:
        workdir: the run's folder.
        split: the split whose results in `WORKDIR/evaluation` are shown.
        data_dir: folder of shards that the results are of; empty takes the one the run was trained on.
        page_path: where the page will be.
        embedded_bytes: the most bytes of thumbnails in the page itself.

    Raises:
        FileNotFoundError: if the folder holds no run, the split was not evaluated, or `data_dir` is not there.
        ValueError: if a file is damaged, holds no photograph, or one twice.
    """
    evaluated = _read_evaluation(workdir, split)
    candidates = evaluated.candidates
    folder, notes = _open_shards(workdir, data_dir or evaluated.data_dir, is_given=bool(data_dir))
    references, shown = References({}, {}), _Shown()
    if folder is not None:
        references = folder.read_references(split)
        notes += _compare_ids(candidates, references, split)
        shown, missing = _place_thumbnails(folder, split, candidates, page_path, embedded_bytes)
        notes += missing
    words_of = tokenizer("coco")
    said = {
        entry["image_id"]: words_of(entry["captions"][0]["words"] if entry["captions"] else "") for entry in candidates
    }
    written = {i: [words_of(text) for text in references.captions[i]] for i in said if references.captions.get(i)}
    image_scores = _read_image_scores(os.path.join(evaluated.results_dir, "image_scores.json"))
    if image_scores is None:
        image_scores = _score_images(said, written)
    notes += [f"Not scored: {row['count']:,} {row['reason']}." for row in evaluated.scores.get("excluded", [])]
    images = [
        CaptionedImage(
            image_id=entry["image_id"],
            file_name=entry["file_name"],
            address=shown.addresses.get(entry["image_id"], ""),
            is_small=shown.widths.get(entry["image_id"], SMALL_PIXELS + 1) <= SMALL_PIXELS,
            captions=entry["captions"],
            references=references.captions.get(entry["image_id"], []),
            scores=image_scores.get(entry["image_id"], {}),
        )
        for entry in candidates
    ]
    return ResultContent(
        workdir=workdir,
        split=split,
        scores=evaluated.scores,
        scene_scores=read_json(os.path.join(evaluated.results_dir, "scene_scores.json")),
        images=images,
        run_lengths=collections.Counter(map(len, said.values())),
        human_lengths=collections.Counter(len(words) for texts in written.values() for words in texts),
        notes=notes,
        thumbnail_folder=shown.folder,
        crop_fraction=evaluated.crop_fraction,
    )


def _read_evaluation(workdir: str, split: str) -> _Evaluated:
    config = read_config(workdir)
    results_dir = os.path.join(workdir, run_files.EVALUATION_NAME, split)
    path = os.path.join(results_dir, "candidates.json")
    scores, candidates = read_scores(results_dir), read_json(path)
    if scores is None or candidates is None:
        raise FileNotFoundError(
            f"{split!r} was not evaluated: {results_dir} lacks scores.json or candidates.json. Run `python -m "
            f"im2txt.evaluate --workdir={workdir} --split={split}` first."
        )
    _check_candidates(candidates, path)
    try:
        data_dir, crop_fraction = config["input"]["data_dir"], config.get("encoder", {}).get("crop_fraction", 1.0)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{workdir}/config.json is not what im2txt.train writes: {error!r}.") from error
    return _Evaluated(results_dir, scores, candidates, data_dir, crop_fraction)


def _place_thumbnails(
    folder: ShardFolder, split: str, candidates: Sequence[dict[str, Any]], page_path: str, embedded_bytes: int
) -> tuple[_Shown, list[str]]:
    """Returns where the thumbnails are, and what is to be told of those that are nowhere."""
    try:
        found = thumbnails.read_thumbnails(folder, split, [entry["image_id"] for entry in candidates])
    except FileNotFoundError as error:
        return _Shown(), [f"The shards hold features, and those with the photographs are gone. {error}"]
    addresses, name = thumbnails.place(found, page_path, embedded_bytes)
    notes = []
    if len(found) < len(candidates):
        notes.append(f"{len(candidates) - len(found):,} photographs are not in {folder.path}, or do not decode.")
    return _Shown(addresses, {image_id: thumbnail.width for image_id, thumbnail in found.items()}, name), notes


def _check_candidates(candidates: Any, path: str) -> None:
    try:
        counts = collections.Counter(entry["image_id"] for entry in candidates)
        for entry in candidates:
            str(entry["file_name"])
            for caption in entry["captions"]:
                if not math.isfinite(caption["log_prob"] + caption["score"]):
                    raise ValueError(f"a caption of image {entry['image_id']} has the log_prob {caption['log_prob']}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not what im2txt.evaluate writes: {error!r}. Evaluate the split again.") from error
    if not counts:
        raise ValueError(f"{path} holds no photograph: there is nothing to show. Evaluate a split that has some.")
    repeated = [image_id for image_id, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{path} holds {len(repeated):,} photographs more than once, image {repeated[0]} among them. Evaluate the "
            "split again."
        )


def _open_shards(workdir: str, data_dir: str, is_given: bool) -> tuple[ShardFolder | None, list[str]]:
    """Returns the shards, or None and why they cannot be shown."""
    try:
        folder = ShardFolder.open(data_dir)
    except FileNotFoundError as error:
        if is_given:
            raise
        return None, [f"Photographs, references and their scores are missing: the shards are not there. {error}"]
    trained_on = os.path.join(workdir, run_files.DATA_NAME)
    if not is_given and os.path.exists(trained_on) and _manifest(trained_on) != folder.manifest:
        # Ids may name other photographs by now.
        return None, [
            f"Photographs, references and their scores are missing: {data_dir} was built anew since the run was "
            "started. Name the shards that were scored with --data_dir."
        ]
    return folder, []


def _manifest(path: str) -> Manifest:
    """Read, not compared as text: what an older version has written lacks the fields that came since."""
    return Manifest.from_json(storage.read_text(path), path)


def _compare_ids(candidates: Sequence[dict[str, Any]], references: References, split: str) -> list[str]:
    captioned = {entry["image_id"] for entry in candidates}
    notes = []
    without = sum(1 for image_id in captioned if not references.captions.get(image_id))
    if without:
        notes.append(
            f"{without:,} of {len(captioned):,} photographs have no reference in {split} and so no scores of their own."
        )
    missing = len(references.captions.keys() - captioned)
    if missing:
        notes.append(f"{missing:,} of the {len(references.captions):,} photographs of {split} were not captioned.")
    return notes


def _read_image_scores(path: str) -> dict[int, dict[str, float]] | None:
    """Returns the scores by image id and metric; None where an older evaluation has not written them."""
    rows = read_json(path)
    try:
        return None if rows is None else {row["image_id"]: row["scores"] for row in rows}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what im2txt.evaluate writes: {error!r}. Evaluate the split again.") from error


def _score_images(said: Mapping[int, list[str]], written: Mapping[int, list[list[str]]]) -> dict[int, dict[str, float]]:
    """CIDEr-D and ROUGE-L of each best caption, among the images that have references."""
    if not written:
        return {}
    hypotheses, references = [said[image_id] for image_id in written], list(written.values())
    scored = zip(written, cider_d(hypotheses, references), rouge_l(hypotheses, references), strict=True)
    return {image_id: {"CIDEr-D": cider, "ROUGE-L": rouge} for image_id, cider, rouge in scored}
