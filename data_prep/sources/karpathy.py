"""Karpathy's `dataset.json` for Flickr8k, Flickr30k and COCO: captions and the split that most papers report on.

Source: Karpathy and Fei-Fei (2015), "Deep Visual-Semantic Alignments for Generating Image Descriptions".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from data_prep.sources import base
from data_prep.sources.json_fields import image_id_field, typed_field
from im2txt.system import storage

_SPLITS = ("train", "val", "test", "restval")
_UNUSED = ("tokens", "sentids")  # Half of the memory of COCO's file, and three quarters of the time.
_NO_ID = -1


@dataclasses.dataclass(frozen=True)
class Karpathy:
    """Karpathy's dataset_flickr8k.json, dataset_flickr30k.json or dataset_coco.json, and the photographs."""

    dataset_file: str
    """The JSON file."""
    images_dir: str
    """Folder of the photographs; for COCO the one that holds the folders train2014 and val2014."""

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the file's order, with their raw sentences.

        COCO's keep their COCO id; Flickr's have the number that starts their file name, as in the other Flickr sources.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it is of another format, or an id stands twice.
        """
        content = base.read_source_json(self.dataset_file, without=_UNUSED)
        try:
            records = typed_field(content, "images", list)
        except ValueError as error:
            raise ValueError(f"{self.dataset_file} is not one of Karpathy's files: {error}.") from error
        images = []
        for position, record in enumerate(records):
            try:
                images.append(self._image(record))
            except ValueError as error:
                raise ValueError(f"{self.dataset_file}, images[{position}]: {error}") from error
        numbers = base.leading_number_ids([image.file_name for image in images])
        seen: set[int] = set()
        for position, image in enumerate(images):
            image_id = numbers[image.file_name] if image.image_id == _NO_ID else image.image_id
            if image_id in seen:
                raise ValueError(f"{self.dataset_file}, images[{position}]: {image.file_name} stands twice.")
            seen.add(image_id)
            yield dataclasses.replace(image, image_id=image_id)

    def _image(self, record: Any) -> base.CaptionedImage:
        name = typed_field(record, "filename", str)
        if "filepath" in record:
            name = storage.join(typed_field(record, "filepath", str), name)
        file_name, path = base.locate_image(self.images_dir, name)
        image_id = image_id_field(record, "cocoid") if "cocoid" in record else _NO_ID
        captions = tuple(typed_field(sentence, "raw", str) for sentence in typed_field(record, "sentences", list))
        split = typed_field(record, "split", str)
        if split not in _SPLITS:
            raise ValueError(f"'split' is {split!r}; known are {', '.join(_SPLITS)}")
        return base.CaptionedImage(image_id, file_name, path, captions, split)
