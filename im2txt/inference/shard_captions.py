"""One file of photographs to one file of captions: the job that every engine runs.

A job is a function of its input file and the model alone: photographs come in batches as they stand in the file, every
batch is computed as if it were full, and every worker computes with the same number of threads. So the captions are the
same bytes wherever they are written.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import google_crc32c

from im2txt.inference.caption_model import Model, load_captioner
from im2txt.shards.completion import write_completion
from im2txt.shards.image_records import ImageRecord, read_image_records
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage

if TYPE_CHECKING:
    from im2txt.inference.photograph_captioner import CaptionedPhotograph

OutputFormat = Literal["jsonl", "tfrecord"]
_DIGITS = 6  # Of log probabilities: what comes behind differs from one processor to the next.
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class CaptionJob:
    """One file to be captioned.

    Attributes:
        input_path: file of photographs; see `image_records`.
        name: of the file of captions.
        output_dir: its folder.
        output_format: `jsonl` or `tfrecord`.
        model: what writes the captions.
        fingerprint: of all that was asked for; goes into the completion record.
    """

    input_path: str
    name: str
    output_dir: str
    output_format: OutputFormat
    model: Model
    fingerprint: str


def caption_shard(job: CaptionJob) -> dict[str, Any]:
    """Writes a file of captions and its completion record.

    Returns:
        The completion record: `name`, `fingerprint`, `bytes`, `crc32c`, `input_bytes`, `input_crc32c`, `photographs`,
        `errors` by reason, and the `checkpoints` that were used.

    Raises:
        OSError: if a file cannot be read or written; nothing of the output is left then.
        ValueError: if the runs' parts do not belong together.
    """
    captioner = load_captioner(job.model)
    with storage.opened(job.input_path) as file:
        input_bytes, input_checksum = _checksum(file)
        rows = [_row(*captioned) for captioned in captioner(read_image_records(job.input_path, file))]
    path = storage.join(job.output_dir, job.name)
    if job.output_format == "jsonl":
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        storage.write_bytes(path, content)
        size, checksum = len(content), google_crc32c.value(content)
    else:
        size, checksum = write_records(path, map(_to_example, rows))
    errors: dict[str, int] = {}
    for row in rows:
        if "error" in row:
            reason = row["error"].partition(":")[0]
            errors[reason] = errors.get(reason, 0) + 1
    checkpoints = zip(job.model.workdirs, captioner.runs, strict=True)
    record = {
        "name": job.name,
        "fingerprint": job.fingerprint,
        "bytes": size,
        "crc32c": f"{checksum:08x}",
        "input_bytes": input_bytes,
        "input_crc32c": f"{input_checksum:08x}",
        "photographs": len(rows),
        "errors": dict(sorted(errors.items())),
        "checkpoints": [os.path.relpath(run.checkpoint, workdir) for workdir, run in checkpoints],
    }
    write_completion(job.output_dir, record)
    return record


def _checksum(file: BinaryIO) -> tuple[int, int]:
    """Returns a file's size and CRC32C, and leaves it at its beginning."""
    size, checksum = 0, 0
    while chunk := file.read(_CHUNK_BYTES):
        size, checksum = size + len(chunk), google_crc32c.extend(checksum, chunk)
    file.seek(0)
    return size, checksum


def _row(record: ImageRecord, result: CaptionedPhotograph) -> dict[str, Any]:
    if result.error:
        return {"image_id": record.image_id, "error": result.error}
    captions = [
        {
            "caption": candidate.caption,
            "words": candidate.words,
            "log_prob": round(candidate.log_prob, _DIGITS),
            "score": round(candidate.score, _DIGITS),
            "is_complete": candidate.is_complete,
        }
        for candidate in result.candidates
    ]
    return {"image_id": record.image_id, "captions": captions}


def _to_example(row: dict[str, Any]) -> bytes:
    """A `tf.Example`: `image/image_id`, `image/captions` and `image/log_probs`, or `image/error`."""
    import tensorflow as tf  # Deferred: see `load_captioner`.

    def texts(values: list[str]) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))

    image_id = row["image_id"]
    is_number = isinstance(image_id, int)
    feature = {
        "image/image_id": tf.train.Feature(int64_list=tf.train.Int64List(value=[image_id]))
        if is_number
        else texts([image_id])
    }
    if "error" in row:
        feature["image/error"] = texts([row["error"]])
    else:
        log_probs = [caption["log_prob"] for caption in row["captions"]]
        feature["image/captions"] = texts([caption["caption"] for caption in row["captions"]])
        feature["image/log_probs"] = tf.train.Feature(float_list=tf.train.FloatList(value=log_probs))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)
