"""Captions photographs: files, globs, folders.

python -m im2txt.run_inference --workdir=/tmp/run --input_files=holiday/,/tmp/cat.jpg,'shots/*.png'

Prints each photograph's captions, best first, with their probability, or with --format=json one JSON line each.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any, Literal

from im2txt.configuration import DecodingConfig
from im2txt.system import command_line


@dataclasses.dataclass(frozen=True)
class RunInferenceFlags:
    """Flags of the command."""

    workdir: str
    """Folder of the run whose best checkpoint writes the captions."""
    input_files: str
    """Photographs: files, globs and folders (searched through and through), separated by commas."""
    beam_size: int | None = None
    """Partial captions kept at each word, and captions shown; None takes the run's configuration."""
    format: Literal["text", "json"] = "text"
    """`text` for people; `json` prints {"file", "captions": [{"caption", "log_prob", ...}]} per photograph."""
    batch_size: int = 16
    """Photographs per batch."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        DecodingConfig(**self.decoding())  # Checks the range before any work.

    def decoding(self) -> dict[str, Any]:
        """Returns the fields of `DecodingConfig` that were given."""
        return {} if self.beam_size is None else {"beam_size": self.beam_size}


def main() -> int:
    """Parses the flags and prints captions; returns 1 if a photograph could not be captioned."""
    flags = command_line.parse(RunInferenceFlags, __doc__)
    from im2txt.inference.photographs import (  # Deferred: TensorFlow loads after the flags.
        caption_photographs,
        find_photographs,
    )

    paths = find_photographs(flags.input_files)
    failed = 0
    for result in caption_photographs(flags.workdir, paths, flags.batch_size, flags.decoding()):
        if result.error:
            failed += 1
            print(f"skipped {result.path}: {result.error}", file=sys.stderr)
        elif flags.format == "json":
            captions = [dataclasses.asdict(candidate) for candidate in result.candidates]
            print(json.dumps({"file": result.path, "captions": captions}, ensure_ascii=False), flush=True)
        else:
            print(f"Captions for {result.path}:")
            for rank, candidate in enumerate(result.candidates):
                print(f"  {rank}) {candidate.caption} (p={math.exp(candidate.log_prob):.6f})", flush=True)
    if failed:
        print(f"{failed} of {len(paths)} photographs could not be captioned.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    command_line.run(main)
