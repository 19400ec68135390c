"""The Keras tutorial's `descriptions.txt`: a cleaned description on each line, behind its photograph's name.

Source: Brownlee (2017), "How to Prepare a Photo Caption Dataset for Training a Deep Learning Model".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from data_prep.sources import base, split_names
from data_prep.sources.flickr8k import SPLIT_LISTS
from im2txt.system import storage


@dataclasses.dataclass(frozen=True)
class Descriptions:
    """The Keras tutorial's descriptions.txt, one description per line, and the photographs."""

    descriptions_file: str
    """The file; each line is a photograph's name without its ending, and one description. Photographs repeat."""
    images_dir: str
    """Folder of the photographs."""
    lists_dir: str = ""
    """Folder of Flickr8k's `Flickr_8k.{train,dev,test}Images.txt`; photographs in none have no split. By default
    --split_by divides all of them."""
    image_ending: str = ".jpg"
    """What the names of the photographs' files have behind the name in the file."""

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the order of their first lines.

        Raises:
            FileNotFoundError: if the file or a list is missing.
            ValueError: naming a photograph in two lists, or if the file holds nothing.
        """
        captions: dict[str, list[str]] = {}
        for line in base.read_source_text(self.descriptions_file).split("\n"):
            name, _, description = line.strip().partition(" ")
            if name:
                captions.setdefault(name + self.image_ending, []).append(description.strip())
        if not captions:
            raise ValueError(f"{self.descriptions_file} holds no descriptions.")
        split_of = split_names.invert_lists(self._lists())
        image_ids = base.leading_number_ids(captions)
        for name, sentences in captions.items():
            file_name, path = base.locate_image(self.images_dir, name)
            yield base.CaptionedImage(image_ids[name], file_name, path, tuple(sentences), split_of.get(name))

    def _lists(self) -> dict[str, list[str]]:
        if not self.lists_dir:
            return {}
        paths = {split: storage.join(self.lists_dir, name) for split, name in SPLIT_LISTS.items()}
        return {
            split: [name for line in base.read_source_text(path).split("\n") if (name := line.strip())]
            for split, path in paths.items()
        }
