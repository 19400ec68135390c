"""Writes a run's report: one HTML page with scores, loss curve and a gallery of captions; it needs no other file.

What is missing yet, such as scores before the evaluation, is left out with the command that makes it.

    python -m im2txt.report --workdir=/tmp/run
"""

from __future__ import annotations

import dataclasses
import os

from im2txt.system import command_line, storage


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """Flags of the command."""

    workdir: str
    """Folder of the run."""
    split: str = "test"
    """Split whose scores and captions are shown."""
    data_dir: str = ""
    """Folder of shards that was scored, of photographs or features; empty takes the run's own."""
    output_html: str = ""
    """The page; its folder must be there. Empty takes WORKDIR/report.html."""
    num_pictures: int = 24
    """Photographs in the gallery."""
    seed: int = 0
    """Another seed shows other photographs."""

    def __post_init__(self) -> None:
        if self.num_pictures < 0:
            raise ValueError(f"--num_pictures={self.num_pictures} must not be negative.")


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, writes the page."""
    flags = command_line.parse(ReportFlags, __doc__ or "", argv)
    from im2txt.reporting import (
        report_content,  # Deferred: flags are checked before TensorFlow loads.
        report_page,
    )

    content = report_content.gather(flags.workdir, flags.split, flags.data_dir, flags.num_pictures, flags.seed)
    output = flags.output_html or os.path.join(flags.workdir, "report.html")
    storage.write_text(output, report_page.page(content))
    print(f"{output}: {len(content.pictures)} photographs of {flags.split}.")


if __name__ == "__main__":
    command_line.run(main)
