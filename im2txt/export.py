"""Exports a run as one SavedModel that captions photographs with TensorFlow alone.

    python -m im2txt.export --workdir=/tmp/run --output_dir=/tmp/captioner

Everything is inside: decoding of JPEG and PNG, the encoder, beam search and the words. `model_card.md` in the folder
says how to call it.
"""

from __future__ import annotations

import dataclasses

from im2txt.inference.exported_folder import check_new_folder
from im2txt.runs.run_files import read_run_config
from im2txt.system import command_line, tensorflow_startup
from im2txt.system.decoding_flags import DECODING, DecodingFlags


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Flags of the command."""

    workdir: str
    """Folder of the run whose best checkpoint is exported."""
    output_dir: str
    """Folder of the SavedModel; it must not be there yet."""
    tflite: bool = False
    """Write captioner.tflite beside the model too: pixels to ids of words, in TensorFlow Lite's own operators."""
    decoding: DECODING = DecodingFlags()


def main() -> None:
    """Parses the flags and exports."""
    flags = command_line.parse(ExportFlags, __doc__ or "")
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    read_run_config(flags.workdir).decoding.replaced(flags.decoding.given())
    command_line.check_can_be_folder("output_dir", flags.output_dir)
    check_new_folder(flags.output_dir)
    tensorflow_startup.start_tensorflow()
    from im2txt.inference.saved_model import export_run

    run = export_run(flags.workdir, flags.output_dir, flags.decoding.given())
    print(f"{flags.output_dir}: step {run.step}, beam {run.config.decoding.beam_size}, {len(run.vocabulary)} words.")
    if flags.tflite:
        from im2txt.inference.tflite_model import write_tflite

        print(write_tflite(flags.output_dir))


if __name__ == "__main__":
    command_line.run(main)
