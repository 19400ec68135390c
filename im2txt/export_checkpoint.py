"""Writes a run's best weights as a checkpoint of the original im2txt (TensorFlow 1), under the original's names.

python -m im2txt.export_checkpoint --workdir=/tmp/run --checkpoint=/tmp/model.ckpt-2000000

The run must be Show and Tell over Inception v3. The vocabulary is the run's word_counts.txt as it is.
"""

from __future__ import annotations

import dataclasses

from im2txt.runs.run_files import read_run_config
from im2txt.system import command_line, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class ExportCheckpointFlags:
    """Flags of the command."""

    workdir: str
    """Folder of the run."""
    checkpoint: str
    """Path of the new checkpoint, without endings; must not be there yet."""


def main() -> None:
    """Parses the flags and exports."""
    flags = command_line.parse(ExportCheckpointFlags, __doc__ or "")
    read_run_config(flags.workdir)  # TensorFlow takes seconds to load.
    tensorflow_startup.start_tensorflow()
    from im2txt.runs.original_runs import export_original_checkpoint

    step = export_original_checkpoint(flags.workdir, flags.checkpoint)
    print(f"Wrote step {step} to {flags.checkpoint}.index and its data; the vocabulary is {flags.workdir}'s.")


if __name__ == "__main__":
    command_line.run(main)
