"""Turns a trained checkpoint of the original im2txt (TensorFlow 1) into a run of this project.

python -m im2txt.import_checkpoint --checkpoint=model.ckpt-2000000 --vocab_file=word_counts.txt --workdir=/tmp/run

The folder it writes is a run like any other: caption with it, score it, export it, or fine-tune it. See
docs/migrating_from_im2txt.md.
"""

from __future__ import annotations

import dataclasses
import os

from im2txt.system import command_line, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class ImportCheckpointFlags:
    """Flags of the command."""

    checkpoint: str
    """The checkpoint: `model.ckpt-N` (one file, or N.index and N.data-*), or the folder that holds it."""
    vocab_file: str
    """The word_counts.txt the model was trained with; no other fits, not even another build of COCO's."""
    workdir: str
    """Folder of the new run; absent or empty."""


def main() -> None:
    """Parses the flags, imports, and tells what was found."""
    flags = command_line.parse(ImportCheckpointFlags, __doc__ or "")
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    if not os.path.exists(flags.vocab_file):
        raise FileNotFoundError(f"--vocab_file={flags.vocab_file} is not there.")
    command_line.check_can_be_folder("workdir", flags.workdir)
    tensorflow_startup.start_tensorflow()
    from im2txt.runs.original_runs import import_original_run

    run = import_original_run(flags.checkpoint, flags.vocab_file, flags.workdir)
    print(
        f"Imported step {run.step}: {run.num_words} words in a table of {run.vocab_size}, embeddings of "
        f"{run.embedding_size}, {run.num_lstm_units} LSTM units, Inception v3.\n"
        f"Try it: python -m im2txt.run_inference --workdir={flags.workdir} --input_files=PHOTOGRAPH.jpg"
    )


if __name__ == "__main__":
    command_line.run(main)
