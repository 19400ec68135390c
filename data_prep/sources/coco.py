"""COCO captions: `captions_train2014.json` and every other file of that format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from data_prep.sources import base
from data_prep.sources.json_fields import image_id_field, typed_field


@dataclasses.dataclass(frozen=True)
class Coco:
    """COCO captions JSON files (2014, 2017, or any others of that format), one or more of them."""

    train_captions_file: str = ""
    """Captions of the train photographs, e.g. annotations/captions_train2014.json."""
    train_images_dir: str = ""
    """Folder of the train photographs."""
    val_captions_file: str = ""
    """Captions of the val photographs."""
    val_images_dir: str = ""
    """Folder of the val photographs."""
    test_captions_file: str = ""
    """Captions of the test photographs, if there are any."""
    test_images_dir: str = ""
    """Folder of the test photographs."""
    split: Literal["files", "im2txt"] = "files"
    """`files`: each file is a split; `im2txt`: the original im2txt's, which is train plus the first 85 % of val in the
    file's order, the next 5 % for val and the last 10 % for test. Karpathy's split is the source `karpathy`."""

    def __post_init__(self) -> None:
        for split, captions_file, images_dir in self._files():
            if bool(captions_file) != bool(images_dir):
                raise ValueError(f"--{split}_captions_file and --{split}_images_dir go together; only one was given.")
        given = [split for split, captions_file, _ in self._files() if captions_file]
        if not given:
            raise ValueError("No captions file: give --train_captions_file and --train_images_dir, or val's or test's.")
        if self.split == "im2txt" and given != ["train", "val"]:
            raise ValueError(f"--split=im2txt needs the train and the val file and no other; given: {given}.")

    def _files(self) -> list[tuple[str, str, str]]:
        return [
            ("train", self.train_captions_file, self.train_images_dir),
            ("val", self.val_captions_file, self.val_images_dir),
            ("test", self.test_captions_file, self.test_images_dir),
        ]

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the order of the files' `images`.

        Raises:
            FileNotFoundError: if a captions file is missing.
            ValueError: if a file is no COCO captions file, an id stands twice, or a caption belongs to no photograph.
        """
        file_of_id: dict[int, str] = {}
        for split, captions_file, images_dir in self._files():
            if not captions_file:
                continue
            images = _read_file(captions_file, images_dir)
            for position, image in enumerate(images):
                if image.image_id in file_of_id:
                    other = file_of_id[image.image_id]
                    raise ValueError(f"Image id {image.image_id} stands in {other} and again in {captions_file}.")
                file_of_id[image.image_id] = captions_file
                if self.split == "im2txt" and split == "val":
                    yield dataclasses.replace(image, split=original_val_split(position, len(images)))
                else:
                    yield dataclasses.replace(image, split=split)


def original_val_split(position: int, num_images: int) -> str:
    """Returns the split of a val2014 photograph in the original im2txt.

    Args:
        position: in the order of the JSON file's `images`.
        num_images: all of that file.

    Source: im2txt's build_mscoco_data.py. Of COCO's 40,504 photographs it takes [0:34428] for train, [34428:36453] for
    val and the rest for test. This is not Karpathy's split: its train photographs overlap Karpathy's val and test.
    """
    if position < int(0.85 * num_images):
        return "train"
    return "val" if position < int(0.90 * num_images) else "test"


def _read_file(captions_file: str, images_dir: str) -> list[base.CaptionedImage]:
    content = base.read_source_json(captions_file)
    places: dict[int, tuple[str, str]] = {}
    for number, image in _records(content, "images", captions_file):
        try:
            image_id = image_id_field(image, "id")
            if image_id in places:
                raise ValueError(f"id {image_id} stands twice")
            places[image_id] = base.locate_image(images_dir, typed_field(image, "file_name", str))
        except ValueError as error:
            raise ValueError(f"{captions_file}, images[{number}]: {error}") from error
    captions: dict[int, list[str]] = {image_id: [] for image_id in places}
    for number, annotation in _records(content, "annotations", captions_file):
        try:
            image_id = typed_field(annotation, "image_id", int)
            if image_id not in captions:
                raise ValueError(f"image_id {image_id} is the id of none of the file's images")
            captions[image_id].append(typed_field(annotation, "caption", str))
        except ValueError as error:
            raise ValueError(f"{captions_file}, annotations[{number}]: {error}") from error
    return [
        base.CaptionedImage(image_id, file_name, path, tuple(captions[image_id]))
        for image_id, (file_name, path) in places.items()
    ]


def _records(content: Any, key: str, captions_file: str) -> Iterator[tuple[int, Any]]:
    try:
        return enumerate(typed_field(content, key, list))
    except ValueError as error:
        raise ValueError(f"{captions_file} is not a COCO captions file: {error}.") from error
