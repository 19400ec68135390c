"""What a build leaves out: each thing under a reason that can be counted, and no more of it than the limit allows."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Sequence

from im2txt.system import storage

FILE_NAME = "skipped.jsonl"
# Left out on purpose, not for a fault: no part of what the limit is about.
_INTENDED = frozenset({"no_split"})


@dataclasses.dataclass(frozen=True)
class SkipOptions:
    """How much may be left out."""

    max_skipped_fraction: float = 0.01
    """Part of the photographs, and of the captions, that may be unusable, in [0, 1]; more is an error."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_skipped_fraction <= 1:
            raise ValueError(f"--max_skipped_fraction={self.max_skipped_fraction} must be in [0, 1].")


@dataclasses.dataclass(frozen=True)
class Skip:
    """Something left out.

    Attributes:
        image_id: of the photograph.
        file_name: of the photograph.
        reason: short name for counting.
        detail: what was seen.
        caption: the caption left out, None if the whole photograph was.
    """

    image_id: int
    file_name: str
    reason: str
    detail: str
    caption: str | None = None


class TooManySkipsError(RuntimeError):
    """More is unusable than the limit allows."""


def check_limit(skips: Iterable[Skip], images: int, captions: int, limit: float) -> None:
    """Checks that no more than a part of the photographs, and of the captions, is unusable.

    Args:
        skips: all that was left out.
        images: number of photographs in a split, with those left out.
        captions: number of their captions, with those left out.
        limit: the part, in [0, 1].

    Raises:
        TooManySkipsError: with the reasons and the first case.
    """
    faults = [skip for skip in skips if skip.reason not in _INTENDED]
    for noun, total, bad in (
        ("photographs", images, [skip for skip in faults if skip.caption is None]),
        ("captions", captions, [skip for skip in faults if skip.caption is not None]),
    ):
        if len(bad) > limit * total:
            listed = ", ".join(f"{count} {reason}" for reason, count in count_reasons(bad).items())
            raise TooManySkipsError(
                f"{len(bad)} of {total} {noun} cannot be used ({listed}), more than --max_skipped_fraction={limit}. "
                f"The first is {bad[0].file_name!r}: {bad[0].detail}."
            )


def count_reasons(skips: Iterable[Skip]) -> dict[str, int]:
    """Returns how many there are by reason, in alphabetical order."""
    return dict(sorted(collections.Counter(skip.reason for skip in skips).items()))


def write_skips(output_dir: str, skips: Sequence[Skip]) -> str:
    """Writes `skipped.jsonl`, one JSON object per line, and returns its path."""
    path = storage.join(output_dir, FILE_NAME)
    lines = (json.dumps(dataclasses.asdict(skip), ensure_ascii=False, sort_keys=True) for skip in skips)
    storage.write_text(path, "".join(f"{line}\n" for line in lines))
    return path
