"""Captions photographs: files, globs, folders.

    python -m im2txt.run_inference --workdir=/tmp/run holiday/ /tmp/cat.jpg 'shots/*.png'

Prints each photograph's captions, best first, with their probability, or with --format=json one JSON line each. The
exit status is 1 if a photograph could not be captioned; the others are.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Annotated, Any, Literal

import tyro

from im2txt.configuration import DecodingConfig
from im2txt.system import command_line, progress, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class RunInferenceFlags:
    """Flags of the command."""

    workdir: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """Folder of the run whose best checkpoint writes the captions; given again, the mean of the runs does."""
    photographs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PHOTOGRAPH ...")] = ()
    """Photographs: files, globs and folders, which are searched through and through."""
    input_files: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """More of them, also several separated by commas, unless a file or folder has just that name."""
    beam_size: int | None = None
    """Partial captions kept at each word, and captions shown; None takes the run's configuration."""
    format: Literal["text", "json"] = "text"
    """`text` for people; `json` prints {"file", "captions": [{"caption", "log_prob", ...}]} per photograph."""
    batch_size: int = 16
    """Photographs per batch."""

    def __post_init__(self) -> None:
        if not self.workdir:
            raise ValueError("--workdir is required: the folder of a run.")
        if not self.photographs + self.input_files:
            raise ValueError("No photographs were named: name files, globs or folders.")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        DecodingConfig(**self.decoding())  # Checks the range before any work.

    def decoding(self) -> dict[str, Any]:
        """Returns the fields of `DecodingConfig` that were given."""
        return {} if self.beam_size is None else {"beam_size": self.beam_size}


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and prints captions; returns 1 if a photograph could not be captioned."""
    flags = command_line.parse(RunInferenceFlags, __doc__ or "", argv)
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    from im2txt.inference.named_photographs import find_photographs
    from im2txt.runs.run_files import read_run_config

    for workdir in flags.workdir:
        read_run_config(workdir)
    paths = find_photographs(flags.photographs + flags.input_files)
    tensorflow_startup.start_tensorflow()
    from im2txt.inference.photograph_captioner import PhotographCaptioner
    from im2txt.inference.photographs import caption_photographs

    captioner = PhotographCaptioner.load(*flags.workdir, **flags.decoding())
    failed = 0
    for path, result in caption_photographs(captioner, paths, flags.batch_size):
        name = command_line.printable(path)
        if result.error:
            failed += 1
            progress.write_line(f"skipped {name}: {command_line.printable(result.error)}", sys.stderr)
        elif flags.format == "json":
            captions = [dataclasses.asdict(candidate) for candidate in result.candidates]
            progress.write_line(json.dumps({"file": path, "captions": captions}, ensure_ascii=False), sys.stdout)
        else:
            lines = [f"Captions for {name}:"]
            for rank, candidate in enumerate(result.candidates):
                lines.append(f"  {rank}) {candidate.caption} (p={math.exp(candidate.log_prob):.3g})")
            progress.write_line("\n".join(lines), sys.stdout)
    if failed:
        print(f"{failed} of {len(paths)} photographs could not be captioned.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    command_line.run(main)
