"""Which photographs a person means: files, globs and folders. Imports no TensorFlow, so that a slip is told at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
"""What is looked for in folders; files and globs are taken whatever their ending."""


def find_photographs(named: Sequence[str]) -> list[str]:
    """Returns the files that are meant, each once, in order.

    Args:
        named: files, globs and folders, which are searched through and through; one that matches nothing as it is may
            be several, separated by commas.

    Raises:
        FileNotFoundError: if one of them matches nothing.
    """
    paths: list[str] = []
    for text in named:
        # A name may hold commas itself: what is there as it was typed is what was meant.
        whole = _matches(text)
        for pattern in [text] if whole else filter(None, text.split(",")):
            found = whole or _matches(pattern)
            if not found:
                raise FileNotFoundError(f"No photograph matches {pattern!r}.")
            paths += found
    if not paths:
        raise FileNotFoundError("No photographs were named: --input_files takes files, globs and folders.")
    return list(dict.fromkeys(paths))


def _matches(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(pattern)
            for name in names
            if name.lower().endswith(IMAGE_ENDINGS)
        )
    return [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
