"""The names that other people's files give to the splits."""

from __future__ import annotations

from data_prep import splits

_OTHER_NAMES = {"training": "train", "dev": "val", "valid": "val", "validation": "val", "testing": "test"}


def usual_split(name: str) -> str:
    """Returns `train`, `val`, `test` or `restval` for a usual name of it, in any case; ValueError for other names."""
    split = _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
    if split not in splits.SPLITS:
        known = ", ".join([*splits.SPLITS, *_OTHER_NAMES])
        raise ValueError(f"{name!r} is no name of a split; known are {known}")
    return split
