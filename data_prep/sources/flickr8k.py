"""Flickr8k as its authors hand it out: a folder of photographs, a token file, three split lists.

Source: Hodosh, Young and Hockenmaier (2013), "Framing Image Description as a Ranking Task".
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from data_prep.sources import base, split_names
from im2txt.system import storage

TOKEN_FILE = "Flickr8k.token.txt"
SPLIT_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
# Copies with a tab and with a space before the caption are in circulation.
_TOKEN_LINE = re.compile(r"([^\t]+?)#(\d+)(?:[\t ](.*))?")


@dataclasses.dataclass(frozen=True)
class Flickr8k:
    """The original Flickr8k: its photographs, token file and published split lists."""

    images_dir: str
    """Folder of the photographs; the original's is called `Flicker8k_Dataset`."""
    text_dir: str
    """Folder of `Flickr8k.token.txt` and `Flickr_8k.{train,dev,test}Images.txt`."""

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the token file's order; those in no list have no split.

        Raises:
            FileNotFoundError: if the folder of photographs, the token file or a list is missing.
            ValueError: naming a damaged line of the token file, a photograph in two lists, or one without captions.
        """
        if not storage.exists(self.images_dir):
            raise FileNotFoundError(f"No folder {self.images_dir!r} (--images_dir).")
        captions = read_token_file(storage.join(self.text_dir, TOKEN_FILE))
        paths = {split: storage.join(self.text_dir, name) for split, name in SPLIT_LISTS.items()}
        lists = {
            split: list(filter(None, map(str.strip, base.read_source_text(path).split("\n"))))
            for split, path in paths.items()
        }
        split_of = split_names.invert_lists(lists)
        unknown = sorted(split_of.keys() - captions.keys())
        if unknown:
            raise ValueError(
                f"{len(unknown)} photographs of the split lists have no caption in {TOKEN_FILE}, such as "
                f"{unknown[0]!r}. Do token file and lists belong together?"
            )
        image_ids = base.leading_number_ids(captions)
        for name, sentences in captions.items():
            file_name, path = base.locate_image(self.images_dir, name)
            yield base.CaptionedImage(image_ids[name], file_name, path, tuple(sentences), split_of.get(name))


def read_token_file(path: str) -> dict[str, list[str]]:
    """Reads lines of the form `NAME#NUMBER<TAB>CAPTION`.

    Returns:
        Captions by photograph, both in the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the line, if one is of another form or numbers a caption twice.
    """
    captions: dict[str, list[str]] = {}
    seen = set()
    for number, line in enumerate(base.read_source_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        match = _TOKEN_LINE.fullmatch(line.rstrip("\r"))
        if not match:
            raise ValueError(f"{path}, line {number}: {line[:80]!r} is not of the form `NAME#NUMBER<TAB>CAPTION`.")
        if (match[1], match[2]) in seen:
            raise ValueError(f"{path}, line {number}: caption {match[1]}#{match[2]} stands there twice.")
        seen.add((match[1], match[2]))
        captions.setdefault(match[1], []).append((match[3] or "").strip())
    if not captions:
        raise ValueError(f"{path} holds no captions.")
    return captions
