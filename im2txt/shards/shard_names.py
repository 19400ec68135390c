"""Names of shard files, `train-00007-of-00256`: make, parse, check for completeness.

Incomplete files never bear such a name: writers use a temporary name that starts with `.tmp-`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

_NAME = re.compile(r"([A-Za-z0-9_]+)-(\d{5})-of-(\d{5})")
MAX_SHARDS = 99_999


@dataclasses.dataclass(frozen=True, order=True)
class ShardName:
    """The parts of a shard's name; `index` is in [0, count)."""

    split: str
    index: int
    count: int


def shard_name(split: str, index: int, count: int) -> str:
    """Returns e.g. `train-00007-of-00256`.

    Raises:
        ValueError: if the index is not in [0, count), the count not in [1, 99999], or the split's name is unfit.
    """
    if not 0 <= index < count <= MAX_SHARDS:
        raise ValueError(f"Shard {index} of {count}: needs 0 <= index < count <= {MAX_SHARDS}.")
    name = f"{split}-{index:05d}-of-{count:05d}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"Split name {split!r} may hold letters, digits and '_' only.")
    return name


def parse_shard_name(name: str) -> ShardName | None:
    """Returns the parts of a shard's file name, or None for any other file."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    return ShardName(match[1], int(match[2]), int(match[3]))


def complete_shard_set(names: Iterable[str], split: str, directory: str) -> list[str]:
    """Picks the shards of a split out of a folder's file names and checks that none is missing.

    Args:
        names: file names in the folder, of any kind.
        split: e.g. `train`.
        directory: the folder, for messages.

    Returns:
        The shard names in order of their index.

    Raises:
        FileNotFoundError: if there is no shard of that split, or some are missing.
        ValueError: if shards of two different counts lie side by side.
    """
    parsed = sorted(s for s in map(parse_shard_name, names) if s is not None and s.split == split)
    if not parsed:
        raise FileNotFoundError(
            f"No shard matches {directory}/{split}-?????-of-?????. Run `python -m data_prep.build_shards` first."
        )
    counts = sorted({s.count for s in parsed})
    if len(counts) > 1:
        raise ValueError(
            f"{directory} holds '{split}' shards of several builds, with {counts} shards. Keep one build per folder."
        )
    count = counts[0]
    missing = sorted(set(range(count)) - {s.index for s in parsed})
    if missing:
        listed = ", ".join(f"{i:05d}" for i in missing[:10]) + (" ..." if len(missing) > 10 else "")
        raise FileNotFoundError(
            f"Found {len(parsed)} of {count} shards for {directory}/{split}-?????-of-{count:05d}; missing {listed}. "
            f"Run `python -m data_prep.verify_data --data_dir={directory}`."
        )
    return [shard_name(split, s.index, s.count) for s in parsed]
