"""Writes a page to look at: of runs beside each other, or of one run's captions of a split.

    python -m im2txt.report --workdir=/tmp/a --workdir=/tmp/b        # curves, scores, what differs
    python -m im2txt.report --workdir=/tmp/a --split=test            # every photograph with its captions

The first page is WORKDIR/report.html of the first run, the second WORKDIR/evaluation/SPLIT/report.html. Either is one
file that needs no network. Where its photographs would make it too large, all of them lie in the folder report_files
beside it.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import tyro

from im2txt.runs import run_files
from im2txt.system import command_line, storage

_MEGABYTE = 1_000_000


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """Flags of the command."""

    workdir: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """Folder of a run; given several times, runs are compared."""
    split: str = ""
    """Split that was evaluated, whose captions are shown; empty shows the runs."""
    data_dir: str = ""
    """Folder of shards that was scored, of photographs or features; empty takes the run's own."""
    output_html: str = ""
    """The page; its folder must be there. Empty takes the place named above."""
    embedded_megabytes: float = 20.0
    """Photographs, made small, are put into the page if all of them have at most this size, and else beside it."""
    refresh_secs: float = 0.0
    """Above 0: as long as one of the runs goes on, the page is written anew so often, and loads itself."""

    def __post_init__(self) -> None:
        if not self.workdir:
            raise ValueError("--workdir is missing: name the folder of a run.")
        if self.split and len(self.workdir) > 1:
            raise ValueError(f"--split={self.split} shows one run; {len(self.workdir)} were named by --workdir.")
        if not self.embedded_megabytes >= 0:
            raise ValueError(f"--embedded_megabytes={self.embedded_megabytes} must not be negative.")
        if not self.refresh_secs >= 0:
            raise ValueError(f"--refresh_secs={self.refresh_secs} must not be negative.")
        if self.split and self.refresh_secs:
            raise ValueError("--refresh_secs is for the page of runs; an evaluation does not go on. Leave out --split.")


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, writes the page."""
    flags = command_line.parse(ReportFlags, __doc__ or "", argv)
    if flags.output_html:
        command_line.check_can_be_file("output_html", flags.output_html)
    if flags.split:
        _write_result_page(flags)
    else:
        _write_run_page(flags)


def _write_result_page(flags: ReportFlags) -> None:
    from im2txt.reporting import result_content, result_page  # Deferred: flags are checked before they load.

    (workdir,) = flags.workdir
    output = flags.output_html or os.path.join(workdir, run_files.EVALUATION_NAME, flags.split, "report.html")
    content = result_content.gather(
        workdir, flags.split, flags.data_dir, output, int(flags.embedded_megabytes * _MEGABYTE)
    )
    storage.write_text(output, result_page.page(content))
    for note in content.notes:
        print(f"note: {note}")
    print(f"{output}: {len(content.images)} photographs of {flags.split}.")


def _write_run_page(flags: ReportFlags) -> None:
    from im2txt.reporting import run_page  # Deferred: flags are checked before it loads.

    output = flags.output_html or os.path.join(flags.workdir[0], "report.html")
    run_page.follow(flags.workdir, output, flags.refresh_secs)
    print(f"{output}: {len(flags.workdir)} run{'s' * (len(flags.workdir) > 1)}.")


if __name__ == "__main__":
    command_line.run(main)
