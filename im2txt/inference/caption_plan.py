"""What a folder of captions was asked for: its plan, and that the folder belongs to no other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import google_crc32c

from im2txt import __version__
from im2txt.inference.caption_model import Model
from im2txt.runs.run_files import BEST_DIRECTORY, CONFIG_NAME, ENCODER_DIRECTORY, LATEST_DIRECTORY, read_run_config
from im2txt.system import storage
from im2txt.system.folder_lock import LOCK_NAME
from im2txt.system.json_text import parse_json
from im2txt.text import vocabulary

MANIFEST_NAME = "captions_manifest.json"
PLAN_NAME = ".captions-plan.json"
_SAMPLE_BYTES = 1 << 16
# What a plan consists of, and what to call each part where two plans differ.
_PARTS = {
    "tool_version": "another version of this program",
    "models": "another model",
    "decoding": "another decoding",
    "batch_size": "another batch size",
    "num_threads": "another number of threads",
    "output_format": "another format",
    "inputs_sha256": "other inputs",
}


def model_fingerprint(workdir: str) -> str:
    """Returns a SHA-256 (hex) over a run's configuration, vocabulary and checkpoint.

    The index of a checkpoint holds a checksum of every variable, so it stands for the weights.

    Raises:
        FileNotFoundError: if the folder holds no run, or one that lacks its vocabulary or has no checkpoint.
    """
    digest = hashlib.sha256()
    found = {folder: _indices(storage.join(workdir, folder)) for folder in (BEST_DIRECTORY, LATEST_DIRECTORY)}
    weights = found[BEST_DIRECTORY] or found[LATEST_DIRECTORY]
    if not weights:
        raise FileNotFoundError(
            f"No checkpoint in {workdir}: it has neither {BEST_DIRECTORY}/*.index nor {LATEST_DIRECTORY}/*.index. Is "
            "it still being trained, or copied?"
        )
    documents = [storage.join(workdir, name) for name in (CONFIG_NAME, vocabulary.FILE_NAME)]
    for path in (*weights, *_indices(storage.join(workdir, ENCODER_DIRECTORY)), *documents):
        digest.update(storage.read_bytes(path))
    return digest.hexdigest()


def _indices(folder: str) -> list[str]:
    names = storage.list_names(folder) if storage.exists(folder) else []
    return [storage.join(folder, name) for name in names if name.endswith(".index")]


def make_plan(input_paths: Sequence[str], sizes: Sequence[int], output_format: str, model: Model) -> dict[str, Any]:
    """Returns what decides about the captions' bytes, and a `fingerprint` over it; see `caption_folder.caption_files`.

    Where the inputs and the runs lie does not count.

    Args:
        input_paths: files of photographs.
        sizes: theirs, in bytes.
        output_format: of the files of captions.
        model: what writes them.

    Raises:
        FileNotFoundError: if a run is not there, or half of it.
        ValueError: if its configuration is damaged.
    """
    inputs = [
        (os.path.basename(path), size, _sample(path, size)) for path, size in zip(input_paths, sizes, strict=True)
    ]
    decoding = read_run_config(model.workdirs[0]).decoding.replaced(dict(model.decoding))
    plan = {
        "tool_version": __version__,
        "models": [model_fingerprint(workdir) for workdir in model.workdirs],
        "decoding": dataclasses.asdict(decoding),
        "batch_size": model.batch_size,
        "num_threads": model.num_threads,
        "output_format": output_format,
        "inputs_sha256": hashlib.sha256(json.dumps(inputs).encode()).hexdigest(),
    }
    return {"fingerprint": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest(), **plan}


def _sample(path: str, size: int) -> int:
    """Returns a checksum of a local file's beginning and end, by which files of one name and size are told apart."""
    if storage.is_remote(path):  # It would be a request for each.
        return 0
    with storage.opened(path) as file:
        checksum = google_crc32c.value(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        return google_crc32c.extend(checksum, file.read(_SAMPLE_BYTES))


def claim(output_dir: str, plan: dict[str, Any]) -> None:
    """Reserves a folder for a plan, or finds it reserved for the same one; removes what a killed process left.

    Raises:
        RuntimeError: if it holds anything else.
    """
    try:
        names = set(storage.list_names(output_dir)) - {LOCK_NAME}
    except FileNotFoundError:  # An object store knows no empty folders.
        names = set()
    for marker in (MANIFEST_NAME, PLAN_NAME):
        if marker in names:
            _check_same(output_dir, read_document(storage.join(output_dir, marker)), plan)
            break
    else:
        if names:
            raise RuntimeError(f"{output_dir} is not empty: it holds {min(names)!r}. Choose another --output_dir.")
        storage.write_text(storage.join(output_dir, PLAN_NAME), json.dumps(plan))
    for name in names:
        if name.startswith(storage.TEMPORARY_PREFIX):
            storage.remove(storage.join(output_dir, name))


def read_document(path: str) -> dict[str, Any]:
    """Reads a plan or a manifest; RuntimeError if it is damaged."""
    try:
        content = parse_json(storage.read_text(path, storage.MAX_DOCUMENT_BYTES))
    except ValueError as error:
        raise RuntimeError(
            f"{path} is damaged ({error}). Remove its folder, or choose another --output_dir."
        ) from error
    return content if isinstance(content, dict) else {}


def _check_same(output_dir: str, old: dict[str, Any], plan: dict[str, Any]) -> None:
    if old.get("fingerprint") == plan["fingerprint"]:
        return
    differences = [name for part, name in _PARTS.items() if old.get(part) != plan[part]]
    raise RuntimeError(
        f"{output_dir} holds captions of {' and '.join(differences) or 'something else'}. Choose another --output_dir, "
        "or remove this one."
    )
