"""The original im2txt's command: COCO 2014 to shards of one caption per record, with the original's split.

    python -m data_prep.build_mscoco_data --train_image_dir=train2014 --val_image_dir=val2014 \
        --train_captions_file=annotations/captions_train2014.json \
        --val_captions_file=annotations/captions_val2014.json --output_dir=mscoco

It is `build_shards coco --split=im2txt --layout=pair` under the original's flags. Photographs of train2014 and 85 % of
val2014 are for training, 5 % and 10 % of val2014 for validation and test. Records, names and split are the original's.
The order of the records is another, since the original's came from the random numbers of Python 2; and a full stop in
the middle of a caption stays with its word, since the original cut captions into sentences first.
"""

from __future__ import annotations

import dataclasses
import os
import time

from data_prep.building import build_report, prepare
from data_prep.building.build_plan import BuildOptions
from data_prep.building.shard_plan import ShardOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from data_prep.sources.coco import Coco
from im2txt.engines.local_engine import LocalEngine
from im2txt.system import command_line, storage
from im2txt.text.vocabulary import END_WORD, FILE_NAME, START_WORD, UNKNOWN_WORD


@dataclasses.dataclass(frozen=True)
class BuildMscocoDataFlags:
    """Flags of the command, all of them the original's."""

    train_image_dir: str
    """Folder of the photographs of train2014."""
    val_image_dir: str
    """Folder of the photographs of val2014."""
    train_captions_file: str
    """captions_train2014.json."""
    val_captions_file: str
    """captions_val2014.json."""
    output_dir: str
    """Folder of the shards, local or remote; made if need be."""
    train_shards: int = 256
    """Number of train shards."""
    val_shards: int = 4
    """Number of val shards."""
    test_shards: int = 8
    """Number of test shards."""
    start_word: str = START_WORD
    """Accepted only as it is."""
    end_word: str = END_WORD
    """Accepted only as it is."""
    unknown_word: str = UNKNOWN_WORD
    """Accepted only as it is."""
    min_word_count: int = 4
    """Least number of times a word must occur in the training captions to be in the vocabulary."""
    word_counts_output_file: str = ""
    """A second place for the vocabulary, besides word_counts.txt in the folder of the shards."""
    num_threads: int = 8
    """Shards written at the same time, each in a process of its own; their number need not be a multiple of it."""

    def __post_init__(self) -> None:
        for name, fixed in (("start_word", START_WORD), ("end_word", END_WORD), ("unknown_word", UNKNOWN_WORD)):
            if getattr(self, name) != fixed:
                raise ValueError(
                    f"--{name}={getattr(self, name)} cannot be honoured: training and captioning find the special "
                    f"words by their names, and this one is {fixed}. Leave the flag out."
                )
        if self.num_threads < 1:
            raise ValueError(f"--num_threads={self.num_threads} must be at least 1.")


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, builds, prints the summary."""
    flags = command_line.parse(BuildMscocoDataFlags, __doc__ or "", argv)
    start = time.monotonic()
    source = Coco(
        train_captions_file=flags.train_captions_file,
        train_images_dir=flags.train_image_dir,
        val_captions_file=flags.val_captions_file,
        val_images_dir=flags.val_image_dir,
        split="im2txt",
    )
    options = BuildOptions(
        vocabulary=VocabularyOptions(min_word_count=flags.min_word_count),
        shards=ShardOptions(
            layout="pair",
            train_shards=flags.train_shards,
            val_shards=flags.val_shards,
            test_shards=flags.test_shards,
        ),
    )
    finished = prepare.prepare(source, flags.output_dir, options, LocalEngine(flags.num_threads))
    if flags.word_counts_output_file:
        content = storage.read_text(storage.join(flags.output_dir, FILE_NAME))
        storage.make_directory(os.path.dirname(flags.word_counts_output_file) or ".")
        storage.write_text(flags.word_counts_output_file, content)
    print(build_report.describe_build(finished, flags.output_dir, time.monotonic() - start))


if __name__ == "__main__":
    command_line.run(main)
