"""Counts in Flickr8k's captions what the Keras tutorials print, and says whether each figure is theirs.

    python -m data_prep.tutorial_figures --text_dir=/data/Flickr8k_text

Exits with status 1 where one differs: the copy of the data is another one then.
"""

from __future__ import annotations

import dataclasses

from data_prep.checking.tutorial_counts import PUBLISHED, tutorial_figures
from im2txt.system import command_line


@dataclasses.dataclass(frozen=True)
class TutorialFiguresFlags:
    """Which copy of the captions."""

    text_dir: str
    """Folder of `Flickr8k.token.txt` and `Flickr_8k.{train,dev}Images.txt`."""


def main(argv: list[str] | None = None) -> int:
    """Parses the flags, prints the figures, returns the exit status."""
    flags = command_line.parse(TutorialFiguresFlags, __doc__ or "", argv)
    figures = tutorial_figures(flags.text_dir)
    print(f"{'':46}{'here':>10}{'tutorial':>10}")
    for name, value in figures.items():
        print(f"{name:46}{value:10,}{PUBLISHED[name]:10,}{'' if value == PUBLISHED[name] else '  differs'}")
    return 0 if figures == PUBLISHED else 1


if __name__ == "__main__":
    command_line.run(main)
