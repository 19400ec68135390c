"""What a build leaves out: each thing under a reason that can be counted, and no more of it than the limit allows."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Sequence

from im2txt.system import storage

FILE_NAME = "skipped.jsonl"
# Left out on purpose, not for a fault: no part of what the limit is about.
_INTENDED = frozenset({"no_split", "text_without_photograph"})


@dataclasses.dataclass(frozen=True)
class SkipOptions:
    """How much may be left out."""

    max_skipped_fraction: float = 0.01
    """Part of the photographs in a split, and of their captions, that may be unusable, in [0, 1]; more is an error."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_skipped_fraction <= 1:
            raise ValueError(f"--max_skipped_fraction={self.max_skipped_fraction} must be in [0, 1].")


@dataclasses.dataclass(frozen=True)
class Skip:
    """Something left out.

    Attributes:
        image_id: of the photograph; None if what is left out is no photograph.
        file_name: of the photograph, or of the source's other file.
        reason: short name for counting.
        detail: what was seen.
        caption: the caption left out, None if the whole photograph was.
    """

    image_id: int | None
    file_name: str
    reason: str
    detail: str
    caption: str | None = None


class TooManySkipsError(RuntimeError):
    """More is unusable than the limit allows.

    Attributes:
        skips: all that was left out.
    """

    def __init__(self, message: str, skips: Sequence[Skip]):
        super().__init__(message)
        self.skips = skips


def check_limit(skips: Sequence[Skip], usable_images: int, usable_captions: int, limit: float) -> None:
    """Checks that no more than a part of the photographs in a split, and of their captions, is unusable.

    Args:
        skips: all that was left out. What is in no split counts neither as unusable nor among what there is.
        usable_images: number of photographs in a split that are not left out.
        usable_captions: number of their captions that are not left out.
        limit: the part, in [0, 1].

    Raises:
        TooManySkipsError: with the reasons and the first case.
    """
    faults = [skip for skip in skips if skip.reason not in _INTENDED]
    for noun, usable, bad in (
        ("photographs in a split", usable_images, [skip for skip in faults if skip.caption is None]),
        ("captions of photographs in a split", usable_captions, [skip for skip in faults if skip.caption is not None]),
    ):
        total = usable + len(bad)
        if len(bad) > limit * total:
            listed = ", ".join(f"{count:,} {reason}" for reason, count in count_reasons(bad).items())
            raise TooManySkipsError(
                f"{len(bad):,} of the {total:,} {noun} cannot be used ({listed}), more than "
                f"--max_skipped_fraction={limit}. The first is {bad[0].file_name!r}: {bad[0].detail}.",
                skips,
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
