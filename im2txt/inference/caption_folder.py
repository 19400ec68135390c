"""Many files of photographs to a folder of captions: planned, resumed, described, on any engine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

from im2txt.engines.engine import Engine
from im2txt.inference.shard_captions import CaptionJob, Model, OutputFormat, caption_shard
from im2txt.runs.checkpoints import BEST_DIRECTORY, LATEST_DIRECTORY
from im2txt.shards.completion import completion_path, read_completion
from im2txt.system import storage
from im2txt.system.folder_lock import LOCK_NAME, folder_lock
from im2txt.system.progress import progress_bar

MANIFEST_NAME = "captions_manifest.json"
PLAN_NAME = ".captions-plan.json"
RESULTS_NAME = "captions.json"
_ADVICE = "Run the same command again: finished files are kept."


def caption_files(
    input_paths: Sequence[str], output_dir: str, output_format: OutputFormat, model: Model, engine: Engine
) -> dict[str, Any]:
    """Captions files of photographs, goes on with an interrupted folder, or finds it finished.

    Args:
        input_paths: files of photographs, at least one; see `image_records`. No two may have one name.
        output_dir: local or remote folder; made if need be.
        output_format: of the files of captions, one for each input.
        model: what writes the captions.
        engine: what runs the jobs.

    Returns:
        The content of captions_manifest.json: `fingerprint` of all that was asked for; `models`, the runs' own;
        `decoding`, `batch_size`, `num_threads` and `output_format`; `files` in the inputs' order, each with its `name`,
        `input`, `bytes`, `crc32c`, `photographs` and `errors`; and the totals `photographs` and `errors`.

    Raises:
        FileNotFoundError: if an input or a run is not there.
        ValueError: if two inputs have one name, or the runs' parts do not belong together.
        RuntimeError: if the folder holds captions of another model or other inputs, is being written by another
            process, or a worker died.
    """
    names = [f"{os.path.basename(path)}.{output_format}" for path in input_paths]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"Two inputs would be written to {doubles[0]!r}. Caption them into folders of their own.")
    sizes = [storage.size(path) for path in input_paths]
    plan = _plan(names, sizes, output_format, model)
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    jobs = [
        CaptionJob(path, name, output_dir, output_format, model, fingerprint)
        for path, name in zip(input_paths, names, strict=True)
    ]
    with folder_lock(output_dir, "--output_dir"):
        _claim(output_dir, fingerprint)
        records = _run(jobs, dict(zip(names, sizes, strict=True)), engine)
        manifest = _describe(plan, [records[name] for name in names], input_paths, fingerprint)
        if output_format == "jsonl":
            _write_results(output_dir, names)
        storage.write_text(storage.join(output_dir, MANIFEST_NAME), json.dumps(manifest, indent=1) + "\n")
        for name in names:
            storage.remove(completion_path(output_dir, name))
        storage.remove(storage.join(output_dir, PLAN_NAME))
    return manifest


def model_fingerprint(workdir: str) -> str:
    """Returns a SHA-256 (hex) over a run's configuration, vocabulary and checkpoint.

    The index of a checkpoint holds a checksum of every variable, so it stands for the weights.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    digest = hashlib.sha256()
    best = storage.join(workdir, BEST_DIRECTORY)
    weights = best if storage.exists(best) else storage.join(workdir, LATEST_DIRECTORY)
    for folder in (weights, storage.join(workdir, "encoder")):
        if storage.exists(folder):
            for name in storage.list_names(folder):
                if name.endswith(".index"):
                    digest.update(storage.read_bytes(storage.join(folder, name)))
    for name in ("config.json", "word_counts.txt"):
        digest.update(storage.read_bytes(storage.join(workdir, name)))
    return digest.hexdigest()


def _plan(names: Sequence[str], sizes: Sequence[int], output_format: str, model: Model) -> dict[str, Any]:
    """What decides about the captions' bytes; where the inputs and the runs lie does not."""
    return {
        "inputs": list(zip(names, sizes, strict=True)),
        "output_format": output_format,
        "models": [model_fingerprint(workdir) for workdir in model.workdirs],
        "decoding": dict(model.decoding),
        "batch_size": model.batch_size,
        "num_threads": model.num_threads,
    }


def _claim(output_dir: str, fingerprint: str) -> None:
    """Reserves the folder for a plan, or finds it reserved for the same one."""
    try:
        names = set(storage.list_names(output_dir)) - {LOCK_NAME}
    except FileNotFoundError:  # An object store knows no empty folders.
        names = set()
    for marker in (MANIFEST_NAME, PLAN_NAME):
        if marker in names:
            content = json.loads(storage.read_text(storage.join(output_dir, marker)))
            if content.get("fingerprint") != fingerprint:
                raise RuntimeError(
                    f"{output_dir} holds captions of another model, of other inputs or with other options. Choose "
                    "another --output_dir, or remove this one."
                )
            break
    else:
        if names:
            raise RuntimeError(f"{output_dir} is not empty: it holds {min(names)!r}. Choose another --output_dir.")
        storage.write_text(storage.join(output_dir, PLAN_NAME), json.dumps({"fingerprint": fingerprint}))
    for name in names:
        if name.startswith(storage.TEMPORARY_PREFIX):
            storage.remove(storage.join(output_dir, name))


def _run(jobs: Sequence[CaptionJob], sizes: dict[str, int], engine: Engine) -> dict[str, dict[str, Any]]:
    """Runs the jobs whose files are not there yet; returns every file's record by name."""
    finished = _finished(jobs)
    waiting = [job for job in jobs if job.name not in finished]
    with (
        progress_bar(
            "captioning",
            total=sum(sizes.values()),
            initial=sum(sizes[name] for name in finished),
            unit="B",
            unit_scale=True,
        ) as bar,
        contextlib.closing(engine.run(caption_shard, iter(waiting), _ADVICE)) as records,
    ):
        for record in records:
            finished[record["name"]] = record
            bar.update(sizes[record["name"]])
    return finished


def _finished(jobs: Sequence[CaptionJob]) -> dict[str, dict[str, Any]]:
    output_dir = jobs[0].output_dir
    manifest_path = storage.join(output_dir, MANIFEST_NAME)
    if storage.exists(manifest_path):
        files = json.loads(storage.read_text(manifest_path))["files"]
        whole = {}
        for file in files:
            path = storage.join(output_dir, file["name"])
            if storage.exists(path) and storage.size(path) == file["bytes"]:
                whole[file["name"]] = {key: value for key, value in file.items() if key != "input"}
        return whole
    records = ((job.name, read_completion(output_dir, job.name, job.fingerprint)) for job in jobs)
    return {name: record for name, record in records if record is not None}


def _describe(
    plan: dict[str, Any], records: Sequence[dict[str, Any]], input_paths: Sequence[str], fingerprint: str
) -> dict[str, Any]:
    errors: dict[str, int] = {}
    for record in records:
        for reason, count in record["errors"].items():
            errors[reason] = errors.get(reason, 0) + count
    files = [
        {key: value for key, value in record.items() if key != "fingerprint"} | {"input": os.path.basename(path)}
        for record, path in zip(records, input_paths, strict=True)
    ]
    return {
        "fingerprint": fingerprint,
        **{key: plan[key] for key in ("models", "decoding", "batch_size", "num_threads", "output_format")},
        "photographs": sum(record["photographs"] for record in records),
        "errors": dict(sorted(errors.items())),
        "files": files,
    }


def _write_results(output_dir: str, names: Sequence[str]) -> None:
    """Writes every photograph's best caption as COCO results, where ids are numbers; each id once."""
    results: dict[int, str] = {}
    for name in names:
        for line in storage.read_text(storage.join(output_dir, name)).splitlines():
            row = json.loads(line)
            if isinstance(row["image_id"], int) and "captions" in row:
                results.setdefault(row["image_id"], row["captions"][0]["words"] if row["captions"] else "")
    if results:
        content = [{"image_id": image_id, "caption": caption} for image_id, caption in results.items()]
        storage.write_text(storage.join(output_dir, RESULTS_NAME), json.dumps(content, ensure_ascii=False))
