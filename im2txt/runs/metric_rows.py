"""The rows of a run's `metrics.jsonl`, for whoever reads them, with or without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from im2txt.system import storage
from im2txt.system.json_text import parse_json


def read_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each line of a `metrics.jsonl` as it stands there, and its row; none if there is no such file.

    A last line without its end, which a process that was killed has left or one that runs is writing, is left out.

    Raises:
        ValueError: if a line is no row; the message has file and line.
    """
    lines = storage.read_bytes(path).decode(errors="replace").splitlines(keepends=True) if storage.exists(path) else []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            return
        try:
            row = parse_json(line)
            if not isinstance(row, dict) or type(row.get("step")) is not int:
                raise ValueError("it has no step")
            float(row["epoch"]), float(row.get("time", 0)), {row["kind"]: row}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: {line.strip()[:80]!r} is no row of metrics ({error}). Mend or remove the line."
            ) from error
        yield line, row
