"""Decodes photographs to find the unusable ones, for layouts that write a photograph more than once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from data_prep.building.shard_plan import PlannedImage
from data_prep.building.skips import Skip
from im2txt.images.image_files import PhotographOptions, UnusablePhotographError, read_photograph

_PHOTOGRAPHS_PER_JOB = 200


@dataclasses.dataclass(frozen=True)
class CheckJob:
    """Photographs to decode as (id, relative name, path), and how strictly to judge them."""

    photographs: tuple[tuple[int, str, str], ...]
    options: PhotographOptions


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """How many photographs a job looked at, and those that cannot be used, by id."""

    photographs: int
    unusable: dict[int, Skip]


def make_check_jobs(images: Sequence[PlannedImage], options: PhotographOptions) -> Iterator[CheckJob]:
    """Yields jobs that together look at every photograph once."""
    as_stored = dataclasses.replace(options, resize_shorter_side=None)  # Whoever writes them shrinks them.
    for start in range(0, len(images), _PHOTOGRAPHS_PER_JOB):
        batch = images[start : start + _PHOTOGRAPHS_PER_JOB]
        yield CheckJob(tuple((image.image_id, image.file_name, image.path) for image in batch), as_stored)


def check_photographs(job: CheckJob) -> CheckReport:
    """Reads and decodes photographs; any engine may run it anywhere."""
    unusable = {}
    for image_id, file_name, path in job.photographs:
        try:
            read_photograph(path, job.options)
        except UnusablePhotographError as error:
            unusable[image_id] = Skip(image_id, file_name, error.reason, error.detail)
    return CheckReport(len(job.photographs), unusable)
