"""A Flickr8k of two dozen photographs, as its authors would hand it out, for tests of data preparation."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.building.build_plan import BuildOptions
from data_prep.building.shard_plan import ShardOptions
from data_prep.building.skips import SkipOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from data_prep.sources.flickr8k import Flickr8k

NUMBERS = {"train": range(100, 112), "val": range(200, 203), "test": range(300, 304), None: range(400, 402)}
LISTS = {"train": "trainImages", "val": "devImages", "test": "testImages"}
OPTIONS = BuildOptions(
    vocabulary=VocabularyOptions(min_word_count=2),
    shards=ShardOptions(train_shards=3, val_shards=1, test_shards=2),
    skips=SkipOptions(max_skipped_fraction=0.2),
)
SUBJECTS = ["dog", "cat", "girl", "man", "horse"]


@dataclasses.dataclass(frozen=True)
class TinyFlickr8k:
    """The folders; `source` is what the command would make of them."""

    images_dir: Path
    text_dir: Path

    @property
    def source(self) -> Flickr8k:
        return Flickr8k(str(self.images_dir), str(self.text_dir))

    @property
    def token_file(self) -> Path:
        return self.text_dir / "Flickr8k.token.txt"

    def photograph(self, number: int) -> Path:
        return self.images_dir / name_of(number)

    def flags(self) -> list[str]:
        return ["flickr8k", f"--images_dir={self.images_dir}", f"--text_dir={self.text_dir}"]

    def change_caption(self, number: int, index: int, caption: str) -> None:
        """Replaces one caption in the token file."""
        key = f"{name_of(number)}#{index}\t"
        lines = [key + caption if line.startswith(key) else line for line in self.token_file.read_text().split("\n")]
        self.token_file.write_text("\n".join(lines))


def name_of(number: int) -> str:
    return f"{number}_{number * 7919:x}.jpg"


def captions_of(number: int) -> list[str]:
    """Five captions; only those of test photographs hold `zebra`, only those of number 100 `rare`."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    last = "A zebra !" if number in NUMBERS["test"] else "A rare sight ." if number == 100 else f"One {subject}"
    return [f"A {subject} runs .", f"The {subject} is red", f"Two {subject}s play .", f"A big {subject}", last]


def jpeg(seed: int, size: tuple[int, int] = (40, 30), **settings: object) -> bytes:
    """A JPEG of width x height random low-frequency pixels; `settings` go to Pillow."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(stream, "JPEG", **settings)
    return stream.getvalue()


def write(folder: Path) -> TinyFlickr8k:
    """Writes photographs, token file and split lists; two photographs are in no list."""
    data = TinyFlickr8k(folder / "Flicker8k_Dataset", folder / "Flickr8k_text")
    data.images_dir.mkdir(parents=True)
    data.text_dir.mkdir()
    lines = []
    for split, numbers in NUMBERS.items():
        for number in numbers:
            data.photograph(number).write_bytes(jpeg(number))
            lines += [f"{name_of(number)}#{i}\t{caption}" for i, caption in enumerate(captions_of(number))]
        if split:
            names = "".join(f"{name_of(number)}\n" for number in numbers)
            (data.text_dir / f"Flickr_8k.{LISTS[split]}.txt").write_text(names)
    data.token_file.write_text("\n".join(lines) + "\n")
    return data
