"""One kind of progress bar, on standard error, and lines that do not break it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

import tqdm


def progress_bar(title: str, items: Iterable[Any] | None = None, **settings: Any) -> tqdm.tqdm[Any]:
    """Returns a tqdm bar with ETA; in a log file it writes a line's worth every ten seconds, not ten times a second."""
    return tqdm.tqdm(items, title, mininterval=0.2 if sys.stderr.isatty() else 10.0, **settings)


def write_line(line: str, stream: TextIO) -> None:
    """Writes a line where a bar may stand, which goes below it.

    Args:
        line: without its end.
        stream: standard error, or standard output: the bar is in its way only on a terminal.
    """
    if stream is sys.stderr or stream.isatty():
        tqdm.tqdm.write(line, file=stream)
        stream.flush()
    else:
        print(line, file=stream, flush=True)
