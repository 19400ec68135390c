"""One file of photographs to one file of captions: the job that every engine runs.

A job is a function of its input file and the model alone: photographs come in batches as they stand in the file, and
every worker computes with the same number of threads. So the captions are the same bytes wherever they are written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import google_crc32c

from im2txt.shards.completion import write_completion
from im2txt.shards.image_records import ImageRecord, read_image_records
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage, tensorflow_startup

if TYPE_CHECKING:
    from im2txt.inference.photograph_captioner import CaptionedPhotograph, PhotographCaptioner

OutputFormat = Literal["jsonl", "tfrecord"]
_DIGITS = 6  # Of log probabilities: what comes behind differs from one processor to the next.


@dataclasses.dataclass(frozen=True)
class Model:
    """What writes the captions.

    Attributes:
        workdirs: folders of the runs.
        decoding: fields of `DecodingConfig` that replace the first run's, as (name, value).
        batch_size: photographs per batch.
        num_threads: of TensorFlow in each worker.
    """

    workdirs: tuple[str, ...]
    decoding: tuple[tuple[str, Any], ...]
    batch_size: int
    num_threads: int


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
        The completion record: `name`, `fingerprint`, `bytes`, `crc32c`, `photographs`, and `errors` by reason.

    Raises:
        OSError: if a file cannot be read or written; nothing of the output is left then.
        ValueError: if the runs' parts do not belong together.
    """
    captioner = _load(job.model)
    rows = list(_rows(job, captioner))
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
    record = {
        "name": job.name,
        "fingerprint": job.fingerprint,
        "bytes": size,
        "crc32c": f"{checksum:08x}",
        "photographs": len(rows),
        "errors": dict(sorted(errors.items())),
    }
    write_completion(job.output_dir, record)
    return record


@functools.lru_cache(maxsize=1)
def _load(model: Model) -> PhotographCaptioner:
    """Loads the model once in each worker."""
    tensorflow_startup.start_tensorflow()
    import tensorflow as tf  # Deferred: the process that hands out the jobs does without.

    from im2txt.inference.photograph_captioner import PhotographCaptioner

    # RuntimeError: TensorFlow runs already, because this process has captioned before, and keeps the threads it has.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(model.num_threads)
    return PhotographCaptioner.load(*model.workdirs, **dict(model.decoding))


def _rows(job: CaptionJob, captioner: PhotographCaptioner) -> Iterator[dict[str, Any]]:
    """Yields one row per record, in the file's order; those without a photograph have an `error`."""
    records = read_image_records(job.input_path, storage.read_bytes(job.input_path))
    position = 0
    while batch := list(itertools.islice(records, job.model.batch_size)):
        sound = [record for record in batch if not record.error]
        keys = [record.image_id if isinstance(record.image_id, int) else position + i for i, record in enumerate(sound)]
        results = iter(captioner([record.encoded_image for record in sound], keys) if sound else ())
        for record in batch:
            yield _row(record, None if record.error else next(results))
        position += len(batch)


def _row(record: ImageRecord, result: CaptionedPhotograph | None) -> dict[str, Any]:
    error = record.error if result is None else result.error
    if result is None or error:
        return {"image_id": record.image_id, "error": error}
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
    import tensorflow as tf  # Deferred: see `_load`.

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
