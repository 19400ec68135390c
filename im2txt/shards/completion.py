"""Completion records: what an interrupted command knows of the shards it need not write again.

Beside a shard that is whole lies a small JSON file with the fingerprint of what was asked for, the shard's size and
checksum, and whatever else its writer must know again. The files go when the folder's manifest is written.
"""

from __future__ import annotations

import json
from typing import Any

from im2txt.system import storage
from im2txt.system.json_text import parse_json

_PREFIX = ".done-"


def completion_path(directory: str, name: str) -> str:
    """Returns the path of a shard's completion record, whose name no glob for shards matches."""
    return storage.join(directory, _PREFIX + name.replace("-of-", "_"))


def write_completion(directory: str, record: dict[str, Any]) -> None:
    """Writes a shard's record; it holds at least `name`, `fingerprint`, `bytes` and `crc32c`."""
    storage.write_text(completion_path(directory, record["name"]), json.dumps(record))


def read_completion(directory: str, name: str, fingerprint: str) -> dict[str, Any] | None:
    """Returns a shard's record, or None if the shard must be written again.

    That is so if there is no record, if it is damaged, if it is of another fingerprint, or if the shard is gone or has
    another size.
    """
    try:
        record = parse_json(storage.read_text(completion_path(directory, name), storage.MAX_DOCUMENT_BYTES))
        whole = storage.size(storage.join(directory, name)) == record["bytes"]
        return record if whole and record["fingerprint"] == fingerprint and record["name"] == name else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
