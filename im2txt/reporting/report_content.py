"""What a run's report shows, gathered from the run's folder and its shards.

Only `config.json` must be there; everything else may be missing, because a run is worth looking at from its first
minutes on.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import os
import random
from collections.abc import Collection
from typing import Any

import tensorflow as tf
from PIL import Image

from im2txt.runs import metric_writer, run_folder
from im2txt.shards import records
from im2txt.shards.manifest import Manifest
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage

_PICTURE_PIXELS = 480


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the gallery.

    Attributes:
        file_name: as the source named it.
        data_url: the picture as base64 JPEG, at most 480 pixels a side; None if the shards no longer have it.
        width: pixels of the picture within the shards, 0 without it.
        candidates: generated captions as in candidates.json, best first; may be empty.
        references: captions that people wrote; empty if the shards are gone.
    """

    file_name: str
    data_url: str | None
    width: int
    candidates: list[dict[str, Any]]
    references: list[str]


@dataclasses.dataclass(frozen=True)
class ReportContent:
    """Everything on the page; see the module's docstring for what may be None or empty.

    Attributes:
        workdir: the run's folder.
        split: the scored split.
        config: config.json, one dict per section.
        data: the shards' manifest.
        train_losses: (step, nats per word) in order of the step.
        val_losses: likewise.
        scores: scores.json.
        scene_scores: scene_scores.json, for drawn scenes only.
        pictures: the gallery.
        num_captioned: images in candidates.json, of which `pictures` is a choice.
        picture_note: why pictures or references are missing; empty if they are not.
    """

    workdir: str
    split: str
    config: dict[str, dict[str, Any]]
    data: Manifest | None
    train_losses: list[tuple[int, float]]
    val_losses: list[tuple[int, float]]
    scores: dict[str, Any] | None
    scene_scores: dict[str, Any] | None
    pictures: list[Picture]
    num_captioned: int
    picture_note: str


def gather(workdir: str, split: str, data_dir: str, num_pictures: int, seed: int) -> ReportContent:
    """Reads what there is.

    Args:
        workdir: the run's folder.
        split: the split whose results in `WORKDIR/evaluation` are shown.
        data_dir: folder of shards that the results are of; empty takes the one the run was trained on.
        num_pictures: the most pictures in the gallery.
        seed: chooses them.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if one of its files is damaged.
    """
    config = _read_json(os.path.join(workdir, run_folder.CONFIG_NAME))
    if config is None:
        raise FileNotFoundError(
            f"No {os.path.join(workdir, run_folder.CONFIG_NAME)}: {workdir!r} is no run of im2txt.train."
        )
    results_dir = os.path.join(workdir, "evaluation", split)
    candidates = _read_json(os.path.join(results_dir, "candidates.json")) or []
    chosen = random.Random(seed).sample(candidates, min(num_pictures, len(candidates)))
    is_given = bool(data_dir)
    data_dir = data_dir or config["input"]["data_dir"]
    folder, note = _open_shards(workdir, data_dir, is_given)
    pictures, missing = _read_pictures(folder, split, chosen)
    losses = _read_losses(os.path.join(workdir, metric_writer.FILE_NAME))
    return ReportContent(
        workdir=workdir,
        split=split,
        config=config,
        data=folder.manifest if folder else None,
        train_losses=losses["train"],
        val_losses=losses["val"],
        scores=_read_json(os.path.join(results_dir, "scores.json")),
        scene_scores=_read_json(os.path.join(results_dir, "scene_scores.json")),
        pictures=pictures,
        num_captioned=len(candidates),
        picture_note=note or missing,
    )


def _open_shards(workdir: str, data_dir: str, is_given: bool) -> tuple[ShardFolder | None, str]:
    """Returns the shards, or None and why they cannot be shown."""
    try:
        folder = ShardFolder.open(data_dir)
    except FileNotFoundError as error:
        return None, f"Pictures and references are missing, because the shards are not there. {error}"
    trained_on = os.path.join(workdir, run_folder.DATA_NAME)
    if not is_given and os.path.exists(trained_on) and storage.read_text(trained_on) != folder.manifest.to_json():
        # Ids may name other photographs by now.
        return None, f"Pictures and references are missing, because {data_dir} was built anew since the run."
    return folder, ""


def _read_json(path: str) -> Any:
    """Returns the file's content, or None if there is no such file."""
    if not os.path.exists(path):
        return None
    try:
        return json.loads(storage.read_text(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def _read_losses(path: str) -> dict[str, list[tuple[int, float]]]:
    losses: dict[str, list[tuple[int, float]]] = {"train": [], "val": []}
    lines = storage.read_text(path).splitlines(keepends=True) if os.path.exists(path) else []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break  # A run that is going on has not finished the line.
        try:
            row = json.loads(line)
            # A loss that is no number has no place on the curve.
            if math.isfinite(row["loss"]):
                losses[row["kind"]].append((row["step"], row["loss"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: {line.strip()[:80]!r} is no row of metrics: {error!r}."
            ) from error
    return losses


def _read_pictures(folder: ShardFolder | None, split: str, chosen: list[dict[str, Any]]) -> tuple[list[Picture], str]:
    """Returns the pictures in the order of `chosen`, and why some lack their image."""
    encoded: dict[int, bytes] = {}
    captions: dict[int, list[str]] = {}
    note = ""
    if folder is not None and chosen:
        captions = folder.read_references(split).captions
        try:
            encoded = _find_images(folder, split, {entry["image_id"] for entry in chosen})
        except FileNotFoundError as error:
            note = f"The shards hold features, and those with the pictures are gone. {error}"
        if not note and len(encoded) < len(chosen):
            note = f"{len(chosen) - len(encoded)} of the pictures are not in {folder.path}."
    pictures = []
    for entry in chosen:
        image = encoded.get(entry["image_id"])
        data_url, width = _to_data_url(image) if image else (None, 0)
        pictures.append(
            Picture(entry["file_name"], data_url, width, entry["captions"], captions.get(entry["image_id"], []))
        )
    return pictures, note


def _find_images(folder: ShardFolder, split: str, image_ids: Collection[int]) -> dict[int, bytes]:
    """Returns the image files of some ids, read from the image shards behind a folder of image or feature shards.

    Raises:
        FileNotFoundError: if the image shards are gone.
    """
    if folder.manifest.encoder is not None:
        folder = ShardFolder.open(folder.manifest.encoder.source_dir)
    found: dict[int, bytes] = {}
    dataset = tf.data.TFRecordDataset(folder.shard_paths(split))
    layout = folder.manifest.layout
    for example in dataset.map(lambda serialized: records.parse_example(serialized, layout)):
        image_id = int(example["image_id"])
        if image_id in image_ids:
            found[image_id] = example["encoded_image"].numpy()
            if len(found) == len(image_ids):
                break
    return found


def _to_data_url(encoded_image: bytes) -> tuple[str, int]:
    image = Image.open(io.BytesIO(encoded_image))
    width = image.width
    image.thumbnail((_PICTURE_PIXELS, _PICTURE_PIXELS))
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", width
