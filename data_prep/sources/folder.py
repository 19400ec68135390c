"""A folder of photographs with their captions beside them: `photo.jpg` and `photo.txt`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from data_prep.sources import base
from data_prep.sources.split_names import usual_split
from im2txt.system import storage

_IMAGE_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))


@dataclasses.dataclass(frozen=True)
class Folder:
    """A local folder, with all folders inside it, of photographs and text files of the same name beside them."""

    images_dir: str
    """The folder. Symbolic links to other folders are not followed."""
    captions_ending: str = ".txt"
    """Ending of the text files, in place of the photograph's own; they hold one caption per line."""
    split_by_folder: bool = False
    """Whether the folder's own folders are the splits: train, val (or validation, dev) and test."""

    def __post_init__(self) -> None:
        if storage.is_remote(self.images_dir):
            raise ValueError(f"--images_dir={self.images_dir}: folders are walked on local disks only. Use a table.")
        if not self.captions_ending.startswith(".") or self.captions_ending.lower() in _IMAGE_ENDINGS:
            raise ValueError(f"--captions_ending={self.captions_ending!r} must be an ending such as .txt, of no image.")

    def read(self) -> Iterator[base.Found]:
        """Yields the photographs sorted by path, then the texts without a photograph.

        A photograph without a text has no captions.

        Raises:
            FileNotFoundError: if there is no such folder.
            ValueError: if there are no photographs, none of them has a text, a name or text is not UTF-8, two
                photographs share a text, or a folder is no split.
        """
        if not os.path.isdir(self.images_dir):
            raise FileNotFoundError(f"No folder {self.images_dir!r} (--images_dir).")
        names = sorted(self._names())
        texts = frozenset(name for name in names if name.endswith(self.captions_ending))
        owner: dict[str, str] = {}
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in _IMAGE_ENDINGS:
                text = stem + self.captions_ending
                if owner.setdefault(text, name) != name:
                    raise ValueError(f"{self.images_dir}: {owner[text]!r} and {name!r} share the captions of {text!r}.")
        self._check(owner, texts)
        for text, name in owner.items():
            captions = self._captions(text) if text in texts else ()
            file_name, path = base.locate_image(self.images_dir, name)
            yield base.CaptionedImage(base.stable_image_id(name), file_name, path, captions, self._split(name))
        for text in sorted(texts - owner.keys()):
            yield base.LeftOut(text, "text_without_photograph", "no photograph of that name lies beside it")

    def _check(self, owner: dict[str, str], texts: frozenset[str]) -> None:
        """Checks that there are photographs, and that not all of them lack their text."""
        if not owner:
            raise ValueError(f"{self.images_dir} holds no file ending in {', '.join(sorted(_IMAGE_ENDINGS))}.")
        if not texts & owner.keys():
            text, name = next(iter(owner.items()))
            raise ValueError(
                f"{self.images_dir} holds {len(owner):,} photographs and no captions: beside {name!r} should lie "
                f"{text!r}, one caption per line. Write these files, or name their ending with --captions_ending."
            )

    def _names(self) -> Iterator[str]:
        for folder, _, names in os.walk(self.images_dir, onerror=_raise):
            for name in names:
                relative = os.path.relpath(os.path.join(folder, name), self.images_dir)
                try:
                    relative.encode()
                except UnicodeEncodeError as error:
                    raise ValueError(f"{self.images_dir}: the file name {relative!r} is not UTF-8.") from error
                yield relative

    def _captions(self, name: str) -> tuple[str, ...]:
        text = base.read_source_text(os.path.join(self.images_dir, name))
        return tuple(line.strip() for line in text.split("\n") if line.strip())

    def _split(self, name: str) -> str | None:
        if not self.split_by_folder:
            return None
        folder, inside, _ = name.partition(os.sep)
        if not inside:
            return None
        try:
            return usual_split(folder)
        except ValueError as error:
            raise ValueError(f"{self.images_dir}: {error}") from error


def _raise(error: OSError) -> None:
    raise error
