"""One kind of progress bar, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import tqdm


def progress_bar(title: str, items: Iterable[Any] | None = None, **settings: Any) -> tqdm.tqdm[Any]:
    """Returns a tqdm bar with ETA; in a log file it writes a line's worth every ten seconds, not ten times a second."""
    return tqdm.tqdm(items, title, mininterval=0.2 if sys.stderr.isatty() else 10.0, **settings)
