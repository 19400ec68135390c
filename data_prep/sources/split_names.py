"""The splits: their names, and those that other people's files give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SPLITS = ("train", "val", "test", "restval")
_OTHER_NAMES = {"training": "train", "dev": "val", "valid": "val", "validation": "val", "testing": "test"}


def usual_split(name: str) -> str:
    """Returns `train`, `val`, `test` or `restval` for a usual name of it, in any case; ValueError for other names."""
    split = _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
    if split not in SPLITS:
        known = ", ".join([*SPLITS, *_OTHER_NAMES])
        raise ValueError(f"{name!r} is no name of a split; known are {known}")
    return split


def invert_lists(lists: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Returns name -> split out of split -> names.

    Raises:
        ValueError: if a photograph is in two splits: a model would be judged on what it has seen.
    """
    split_of: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"Photograph {name!r} is in two splits, {split_of[name]!r} and {split!r}.")
    return split_of
