"""Which photographs a person means: files, globs, folders, standard input.

Imports no TensorFlow, so that a slip is told at once.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from im2txt.system import storage

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
"""What is looked for in folders; files and globs are taken whatever their ending."""
STANDARD_INPUT = "-"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


def find_photographs(named: Sequence[str], lists: Sequence[str] = ()) -> list[str]:
    """Returns the files that are meant, each once, in order.

    Args:
        named: files, globs and folders, which are searched through and through.
        lists: likewise, but one that matches nothing as it is may be several, separated by commas.

    Raises:
        FileNotFoundError: if one of them matches nothing.
    """
    paths: list[str] = []
    for text, is_list in [*((text, False) for text in named), *((text, True) for text in lists)]:
        # A name may hold commas itself: what is there as it was typed is what was meant.
        whole = _matches(text)
        for pattern in filter(None, text.split(",")) if is_list and not whole else [text]:
            found = whole or _matches(pattern)
            if not found:
                raise FileNotFoundError(f"No photograph matches {pattern!r}.")
            paths += found
    if not paths:
        raise FileNotFoundError("No photographs were named: --input_files takes files, globs and folders.")
    return list(dict.fromkeys(paths))


def photographs_on(stream: BinaryIO) -> Iterator[tuple[str, str | bytes]]:
    """Yields what comes on standard input: one picture, or photographs' paths, one a line, as they come.

    Yields:
        (`-`, the picture's bytes), or (path, path) of each line; a path is not looked at.

    Raises:
        FileNotFoundError: if nothing comes.
    """
    start = stream.read(8)
    # No path holds a zero byte; what does is meant for a picture, and told that it is none.
    if start.startswith(_SIGNATURES) or b"\0" in start:
        yield STANDARD_INPUT, start + stream.read(storage.MAX_PHOTOGRAPH_BYTES)
        return
    is_empty = True
    for line in itertools.chain((start + stream.readline()).splitlines(), stream):
        path = os.fsdecode(line.rstrip(b"\r\n"))
        if path:
            is_empty = False
            yield path, path
    if is_empty:
        raise FileNotFoundError("Standard input (-) held neither a picture nor the path of one.")


def _matches(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(pattern)
            for name in names
            if name.lower().endswith(IMAGE_ENDINGS)
        )
    return [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
