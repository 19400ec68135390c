"""Which photograph belongs to which split: by the source's own word, by a list, or by a hash of its id."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Literal

from data_prep.sources import base
from data_prep.sources.split_names import SPLITS, invert_lists


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """How photographs are divided into train, val and test."""

    split_by: Literal["source", "hash", "file"] = "source"
    """Who decides: the source; a hash of the image id (a photograph stays in its split when others join); a file."""
    val_fraction: float = 0.1
    """Part of the photographs that `hash` gives to val, in [0, 1)."""
    test_fraction: float = 0.1
    """Part of the photographs that `hash` gives to test, in [0, 1)."""
    split_file: str | None = None
    """Text file with `SPLIT<TAB>FILE NAME` per line, for `file`; photographs that it does not name are left out."""
    restval: Literal["train", "separate"] = "train"
    """What becomes of `restval` in Karpathy's split of COCO: joins train, as in most papers, or stays separate."""

    def __post_init__(self) -> None:
        if min(self.val_fraction, self.test_fraction) < 0 or self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"--val_fraction={self.val_fraction} and --test_fraction={self.test_fraction} must not be negative and "
                "must leave something to train."
            )
        if (self.split_file is None) == (self.split_by == "file"):
            raise ValueError("--split_by=file needs --split_file=PATH, and nothing else does.")


def assign(images: Sequence[base.CaptionedImage], options: SplitOptions) -> list[str | None]:
    """Returns each photograph's split, None for those that are left out.

    Raises:
        ValueError: if a split's name is unknown, a list names photographs that are not there, or no photograph has a
            split.
    """
    if options.split_by == "hash":
        assigned: list[str | None] = [
            hash_split(image.image_id, options.val_fraction, options.test_fraction) for image in images
        ]
    elif options.split_file is not None:
        split_of = read_split_file(options.split_file)
        strangers = sorted(split_of.keys() - {image.file_name for image in images})
        if strangers:
            raise ValueError(
                f"{options.split_file} names {len(strangers)} photographs that the source has not, such as "
                f"{strangers[0]!r}."
            )
        assigned = [split_of.get(image.file_name) for image in images]
    else:
        assigned = [image.split for image in images]
    unknown = {split for split in assigned if split is not None} - set(SPLITS)
    if unknown:
        raise ValueError(f"Unknown split {sorted(unknown)[0]!r}; splits are {', '.join(SPLITS)}.")
    if not any(assigned):
        raise ValueError("The source puts no photograph into a split. Use --split_by=hash, or --split_by=file.")
    if options.restval == "train":
        assigned = ["train" if split == "restval" else split for split in assigned]
    return assigned


def hash_split(image_id: int, val_fraction: float, test_fraction: float) -> str:
    """Returns `train`, `val` or `test`; depends on nothing but the arguments."""
    digest = hashlib.blake2b(f"split {image_id}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest) / 2**64
    if position < test_fraction:
        return "test"
    return "val" if position < test_fraction + val_fraction else "train"


def read_split_file(path: str) -> dict[str, str]:
    """Reads `SPLIT<TAB>FILE NAME` per line; ValueError naming a line of another form or a photograph in two splits."""
    lists: dict[str, list[str]] = {}
    for number, line in enumerate(base.read_source_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        split, tab, name = line.partition("\t")
        if not tab or split not in SPLITS or not name.strip():
            raise ValueError(
                f"{path}, line {number}: {line[:80]!r} is not of the form `SPLIT<TAB>FILE NAME`; "
                f"splits are {', '.join(SPLITS)}."
            )
        lists.setdefault(split, []).append(name.strip())
    return invert_lists(lists)
