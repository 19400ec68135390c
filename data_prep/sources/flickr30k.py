"""Flickr30k as it is handed out: a folder of photographs and one file of captions, without split lists.

Source: Young, Lai, Hodosh and Hockenmaier (2014), "From Image Descriptions to Visual Denotations".
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator

from data_prep.sources import base
from data_prep.sources.flickr8k import read_token_file

_CSV_HEADER = "image_name|comment_number|comment"
# The second bar is optional: the file in circulation lacks it in one line (2199200615.jpg, comment 4).
_CSV_LINE = re.compile(r"([^|]+)\|\s*(\d+)\s*(\||\s)\s*(.*)")


@dataclasses.dataclass(frozen=True)
class Flickr30k:
    """Flickr30k's photographs and captions; it has no split: use --split_by, or the source `karpathy`."""

    captions_file: str
    """`results_20130124.token`, or `results.csv` with the header `image_name| comment_number| comment`."""
    images_dir: str
    """Folder of the photographs, `flickr30k-images` or `flickr30k_images`."""

    def read(self) -> Iterator[base.Found]:
        """Yields the photographs in the file's order, and a warning if lines of it had to be mended.

        Raises:
            FileNotFoundError: if the captions file is missing.
            ValueError: naming the line, if one is of neither form or numbers a caption twice.
        """
        text = base.read_source_text(self.captions_file)
        if text.split("\n", 1)[0].replace(" ", "").strip() == _CSV_HEADER:
            captions, mended = _read_csv(self.captions_file, text)
            if mended:
                name, lines = os.path.basename(self.captions_file), ", ".join(map(str, mended[:10]))
                yield base.SourceWarning(
                    f"{name}: {len(mended):,} line(s) lack the second '|' and were read without it: line {lines}"
                    f"{' and others' if len(mended) > 10 else ''}."
                )
        else:
            captions = read_token_file(self.captions_file)
        image_ids = base.leading_number_ids(captions)
        for name, sentences in captions.items():
            file_name, path = base.locate_image(self.images_dir, name)
            yield base.CaptionedImage(image_ids[name], file_name, path, tuple(sentences))


def _read_csv(path: str, text: str) -> tuple[dict[str, list[str]], list[int]]:
    """Reads lines of the form `NAME| NUMBER| CAPTION`: no real CSV, for quotes in it are the caption's own.

    Returns:
        Captions by photograph, and the numbers of the lines that lack their second bar.
    """
    captions: dict[str, list[str]] = {}
    seen = set()
    mended = []
    for number, line in enumerate(text.split("\n")[1:], start=2):
        if not line.strip():
            continue
        match = _CSV_LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"{path}, line {number}: {line[:80]!r} is not of the form `NAME| NUMBER| CAPTION`.")
        name, comment_number, bar, caption = match.groups()
        if (name, comment_number) in seen:
            raise ValueError(f"{path}, line {number}: comment {comment_number} of {name} stands there twice.")
        seen.add((name, comment_number))
        if bar != "|":
            mended.append(number)
        captions.setdefault(name, []).append(caption)
    return captions, mended
