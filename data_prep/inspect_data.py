"""Prints what a folder of shards is like, and writes a page of random examples to look at.

The page shows photographs with each caption twice: as people wrote it, and decoded from the ids in the shard, which is
what a model learns. It needs no other file.

    python -m data_prep.inspect_data --data_dir=shards
"""

from __future__ import annotations

import dataclasses
import os

from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line, storage

PAGE_NAME = "contact_sheet.html"


@dataclasses.dataclass(frozen=True)
class InspectDataFlags:
    """What to look at."""

    data_dir: str
    """Folder of image shards or feature shards, with its manifest.json; local or remote."""
    output_html: str = ""
    """The page; its folder must be there. Empty takes DATA_DIR/contact_sheet.html, which is written anew each time."""
    overwrite: bool = False
    """Whether the file that --output_html names may be there already, and is replaced."""
    split: str = "train"
    """The split whose examples are shown; the statistics are of all splits."""
    num_examples: int = 24
    """Examples on the page."""
    seed: int = 0
    """Another seed shows other examples."""
    num_readers: int = os.cpu_count() or 1
    """Shards read at the same time, by threads; each is held in memory whole."""

    def __post_init__(self) -> None:
        if self.num_readers < 1:
            raise ValueError(f"--num_readers={self.num_readers} must be at least 1.")
        if self.num_examples < 0:
            raise ValueError(f"--num_examples={self.num_examples} must not be negative.")


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, prints the statistics, writes the page."""
    flags = command_line.parse(InspectDataFlags, __doc__ or "", argv)
    if flags.output_html:
        command_line.check_can_be_file("output_html", flags.output_html)
    if flags.output_html and not flags.overwrite and storage.exists(flags.output_html):
        raise FileExistsError(
            f"--output_html={flags.output_html} is there already, and is left as it is. Name another file, or give "
            "--overwrite to replace it."
        )
    from data_prep.checking import contact_sheet, data_summary, shard_statistics  # Deferred: flags are checked before.

    folder = ShardFolder.open(flags.data_dir)
    manifest = folder.manifest
    vocabulary = folder.read_vocabulary()
    manifest.split(flags.split)  # An unknown split is refused before its captions file is looked for.
    references = folder.read_references(flags.split)
    statistics = shard_statistics.collect(
        folder, vocabulary, flags.split, flags.num_examples, flags.seed, flags.num_readers
    )
    lines = [data_summary.summary(manifest), *data_summary.details(manifest, vocabulary, statistics)]
    table = data_summary.table(manifest)
    print(data_summary.as_text(flags.data_dir, lines, table, statistics))
    page = contact_sheet.page(flags.data_dir, lines, table, statistics, references, vocabulary, manifest.tokenizer)
    output_html = flags.output_html or storage.join(flags.data_dir, PAGE_NAME)
    storage.write_text(output_html, page)
    print(f"{output_html}: {len(statistics.samples)} examples of {flags.split}.")


if __name__ == "__main__":
    command_line.run(main)
