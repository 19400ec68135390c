"""Many files of photographs to a folder of captions: planned, resumed, described, on any engine."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from im2txt.engines.engine import Engine
from im2txt.inference.caption_files import RESULTS_NAME
from im2txt.inference.caption_model import Model
from im2txt.inference.caption_plan import MANIFEST_NAME, PLAN_NAME, claim, make_plan, read_document
from im2txt.inference.shard_captions import CaptionJob, OutputFormat, caption_shard
from im2txt.shards.completion import completion_path, read_completion
from im2txt.system import storage
from im2txt.system.folder_lock import folder_lock
from im2txt.system.progress import progress_bar

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
        The content of captions_manifest.json: `fingerprint` of all that was asked for, and its parts: `tool_version`;
        `models`, a digest of each run's; `decoding`, `batch_size`, `num_threads`, `output_format`; `inputs_sha256`,
        over the inputs' names, sizes, beginnings and ends. `checkpoints` of the runs. `photographs`, and of those
        `errors` by reason and `repeated_ids`, how many have an id that came before. `files` in the inputs' order, each
        with its `name`, `bytes`, `crc32c`, `input`, `input_bytes`, `input_crc32c`, `photographs` and `errors`.

    Raises:
        FileNotFoundError: if an input or a run is not there.
        ValueError: if two inputs have one name, or the runs' parts do not belong together.
        RuntimeError: if the folder holds captions of another model or other inputs, is being written by another
            process, or a worker died.
    """
    names = [f"{os.path.basename(path)}.{output_format}" for path in input_paths]
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise ValueError(f"Two inputs would be written to {doubles[0]!r}. Caption them into folders of their own.")
    sizes = [storage.size(path) for path in input_paths]
    plan = make_plan(input_paths, sizes, output_format, model)
    jobs = [
        CaptionJob(path, name, output_dir, output_format, model, plan["fingerprint"])
        for path, name in zip(input_paths, names, strict=True)
    ]
    with folder_lock(output_dir, "--output_dir"):
        claim(output_dir, plan)
        records = _run(jobs, dict(zip(names, sizes, strict=True)), engine)
        manifest = _describe(plan, [records[name] for name in names], input_paths)
        if output_format == "jsonl":
            manifest["repeated_ids"] = _write_results(output_dir, names)
        storage.write_text(storage.join(output_dir, MANIFEST_NAME), json.dumps(manifest, indent=1) + "\n")
        for name in names:
            storage.remove(completion_path(output_dir, name))
        storage.remove(storage.join(output_dir, PLAN_NAME))
    return manifest


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
        manifest = read_document(manifest_path)
        whole = {}
        for file in manifest["files"]:
            path = storage.join(output_dir, file["name"])
            if storage.exists(path) and storage.size(path) == file["bytes"]:
                whole[file["name"]] = file | {"checkpoints": manifest["checkpoints"]}
        return whole
    records = ((job.name, read_completion(output_dir, job.name, job.fingerprint)) for job in jobs)
    return {name: record for name, record in records if record is not None}


def _describe(plan: dict[str, Any], records: Sequence[dict[str, Any]], input_paths: Sequence[str]) -> dict[str, Any]:
    errors: dict[str, int] = {}
    for record in records:
        for reason, count in record["errors"].items():
            errors[reason] = errors.get(reason, 0) + count
    files = [
        {key: value for key, value in record.items() if key not in ("fingerprint", "checkpoints")}
        | {"input": os.path.basename(path)}
        for record, path in zip(records, input_paths, strict=True)
    ]
    return {
        **plan,
        "checkpoints": sorted({name for record in records for name in record["checkpoints"]}),
        "photographs": sum(record["photographs"] for record in records),
        "errors": dict(sorted(errors.items())),
        "files": files,
    }


def _write_results(output_dir: str, names: Sequence[str]) -> int:
    """Writes every photograph's best caption as COCO results, where ids are whole numbers, each id once.

    Returns:
        How many rows have an id that an earlier row has.
    """
    results: dict[int, str] = {}
    seen: set[int | str] = set()
    repeated = 0
    for name in names:
        for line in storage.read_bytes(storage.join(output_dir, name)).split(b"\n")[:-1]:
            row = json.loads(line)
            image_id = _as_number(row["image_id"])
            repeated += image_id in seen
            seen.add(image_id)
            if isinstance(image_id, int) and "captions" in row:
                results.setdefault(image_id, row["captions"][0]["words"] if row["captions"] else "")
    if results:
        content = [{"image_id": image_id, "caption": caption} for image_id, caption in results.items()]
        storage.write_text(storage.join(output_dir, RESULTS_NAME), json.dumps(content, ensure_ascii=False))
    return repeated


def _as_number(image_id: int | str) -> int | str:
    """Returns the number that an id of digits is, as a file `000000391895.jpg` of COCO has it."""
    is_number = isinstance(image_id, str) and image_id.isascii() and image_id.isdecimal() and len(image_id) < 19
    return int(image_id) if is_number else image_id
