"""NeuralTalk2's input JSON: a list of photographs, each with its captions.

Source: prepro.py of NeuralTalk2 (github.com/karpathy/neuraltalk2, 2015).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from data_prep.sources import base
from data_prep.sources.json_fields import image_id_field, typed_field
from data_prep.sources.split_names import usual_split


@dataclasses.dataclass(frozen=True)
class Neuraltalk2:
    """What NeuralTalk2's prepro.py reads: a JSON list of objects with `file_path`, `captions` and maybe an `id`."""

    input_json: str
    """The file (there `--input_json`)."""
    images_dir: str
    """Folder that the paths in the file are relative to (there `--images_root`)."""

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the file's order; without an `id` they get one from their path.

        prepro.py divides them at random; here a `split` in the file does, or --split_by.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it is of another format, or a photograph stands twice.
        """
        records = base.read_source_json(self.input_json)
        if not isinstance(records, list):
            raise ValueError(f"{self.input_json} is no list of photographs, as NeuralTalk2's prepro.py reads.")
        seen_names: set[str] = set()
        seen_ids: set[int] = set()
        for position, record in enumerate(records):
            try:
                image = self._image(record)
                if image.file_name in seen_names or image.image_id in seen_ids:
                    raise ValueError(f"{image.file_name}, or its id {image.image_id}, stands twice")
            except ValueError as error:
                raise ValueError(f"{self.input_json}, [{position}]: {error}") from error
            seen_names.add(image.file_name)
            seen_ids.add(image.image_id)
            yield image

    def _image(self, record: Any) -> base.CaptionedImage:
        file_name, path = base.locate_image(self.images_dir, typed_field(record, "file_path", str))
        captions = typed_field(record, "captions", list)
        for caption in captions:
            if not isinstance(caption, str):
                raise ValueError(f"'captions' holds {str(caption)[:60]!r}; needs strings")
        image_id = image_id_field(record, "id") if "id" in record else base.stable_image_id(file_name)
        split = usual_split(typed_field(record, "split", str)) if "split" in record else None
        return base.CaptionedImage(image_id, file_name, path, tuple(captions), split)
