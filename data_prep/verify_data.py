"""Reads a folder of shards through and says what is wrong with it and what to do about it.

Checked against manifest.json: every shard's size and checksum, every record's checksums, the numbers of examples,
photographs, captions and words, every word id against word_counts.txt, `<S>` and `</S>` around every caption, the
photographs of captions_<split>.json, and that no photograph stands in two splits, by id or by content. The exit status
is 1 if anything is wrong. Nothing is changed.
"""

from __future__ import annotations

import dataclasses
import os

from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class VerifyDataFlags:
    """What to check."""

    data_dir: str
    """Folder of image shards or feature shards, with its manifest.json; local or, for instance, gs://."""
    decode_images: bool = False
    """Decode every photograph as well. Takes most of the time: about 5 ms each on one core."""
    num_readers: int = os.cpu_count() or 1
    """Shards read at the same time, by threads; each is held in memory whole."""

    def __post_init__(self) -> None:
        if self.num_readers < 1:
            raise ValueError(f"--num_readers={self.num_readers} must be at least 1.")


def main(argv: list[str] | None = None) -> int:
    """Prints faults and notes; returns the exit status."""
    flags = command_line.parse(VerifyDataFlags, __doc__ or "", argv)
    from data_prep.checking import data_summary, folder_checks  # Deferred: flags are checked before they load.

    if flags.decode_images:
        ShardFolder.open(flags.data_dir)  # TensorFlow takes seconds to load.
        tensorflow_startup.start_tensorflow()
    report = folder_checks.check_folder(flags.data_dir, flags.decode_images, flags.num_readers)
    print(f"{flags.data_dir}: {data_summary.summary(report.manifest)}")
    print(folder_checks.describe(report.faults, report.notes))
    return 1 if report.faults else 0


if __name__ == "__main__":
    command_line.run(main)
