"""`captions_<split>.json`: a split's raw captions and file names, in the format of COCO's caption annotations.

Scores are computed against these, never against tokenised words, so that every tokenizer is judged alike. Other tools
for COCO captions read the files as they are.
"""

from __future__ import annotations

import dataclasses
import json

from im2txt.system import storage
from im2txt.system.json_text import parse_json


@dataclasses.dataclass(frozen=True)
class References:
    """The captions people wrote.

    Attributes:
        file_names: by image id, in the split's order.
        captions: by image id, in the same order; at least one each.
    """

    file_names: dict[int, str]
    captions: dict[int, list[str]]


def references_name(split: str) -> str:
    """Returns the file's name in the folder of shards."""
    return f"captions_{split}.json"


def write_references(data_dir: str, split: str, references: References, description: str = "") -> None:
    """Writes a split's file; caption ids are numbered from 0, and the description tells people where they come from."""
    images = [{"id": image_id, "file_name": name} for image_id, name in references.file_names.items()]
    captions = ((image_id, caption) for image_id, all_ in references.captions.items() for caption in all_)
    annotations = [
        {"id": i, "image_id": image_id, "caption": caption} for i, (image_id, caption) in enumerate(captions)
    ]
    content = {
        "info": {"description": description or f"{split} captions"},
        "images": images,
        "annotations": annotations,
    }
    storage.write_text(storage.join(data_dir, references_name(split)), json.dumps(content, ensure_ascii=False))


def read_references(data_dir: str, split: str) -> References:
    """Reads a split's file.

    Raises:
        FileNotFoundError: if the folder has none for this split.
        ValueError: if the file is damaged or a caption belongs to no image.
    """
    path = storage.join(data_dir, references_name(split))
    if not storage.exists(path):
        raise FileNotFoundError(f"No {path}: scoring needs the split's raw captions, which build_shards writes there.")
    text = storage.read_text(path)
    try:
        content = parse_json(text)
        file_names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[int, list[str]] = {image_id: [] for image_id in file_names}
        for annotation in content["annotations"]:
            captions[annotation["image_id"]].append(annotation["caption"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a COCO captions file: {error!r}. Build the folder again.") from error
    return References(file_names, captions)
