"""Makes shards of the original im2txt trainable here: reads them, checks them, and writes a manifest beside them.

The shards (train-?????-of-?????, one caption per record) stay as they are. Beside them come manifest.json,
captions_<split>.json with the captions put together again from the words in the shards, and word_counts.txt if it lies
elsewhere. Nothing is written, and the exit status is 1, if a shard is damaged or does not fit the vocabulary.
"""

from __future__ import annotations

import dataclasses
import os

from im2txt.system import command_line, storage
from im2txt.text.vocabulary import FILE_NAME


@dataclasses.dataclass(frozen=True)
class AdoptShardsFlags:
    """What to adopt."""

    data_dir: str
    """Folder of the shards; the manifest is written there."""
    word_counts_file: str | None = None
    """The vocabulary that was written with the shards; None takes word_counts.txt in their folder."""
    num_readers: int = os.cpu_count() or 1
    """Shards read at the same time, by threads; each is held in memory whole."""

    def __post_init__(self) -> None:
        if self.num_readers < 1:
            raise ValueError(f"--num_readers={self.num_readers} must be at least 1.")


def main(argv: list[str] | None = None) -> int:
    """Prints faults or what was adopted; returns the exit status."""
    flags = command_line.parse(AdoptShardsFlags, __doc__ or "", argv)
    from data_prep.checking import (
        adoption,  # Deferred: flags are checked before they load.
        data_summary,
        folder_checks,
    )

    vocabulary = flags.word_counts_file or storage.join(flags.data_dir, FILE_NAME)
    found = adoption.read_original(flags.data_dir, vocabulary, flags.num_readers)
    print(folder_checks.describe(found.faults, found.notes))
    if found.faults:
        print(f"{flags.data_dir} was left as it is.")
        return 1
    adoption.write_adoption(flags.data_dir, found)
    print(f"{flags.data_dir}: {data_summary.summary(found.manifest)}")
    return 0


if __name__ == "__main__":
    command_line.run(main)
