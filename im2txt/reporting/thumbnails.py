"""Photographs made small: put into a page as data, or beside it as files where the page would grow too large."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import urllib.parse
from collections.abc import Collection, Mapping

from PIL import Image

from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import for_each_shard, take_apart
from im2txt.shards.tfrecords import read_records
from im2txt.system import storage

PIXELS = 320
_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A photograph made small.

    Attributes:
        jpeg: bytes of a JPEG file.
        width: pixels of the photograph it was made from.
    """

    jpeg: bytes
    width: int


def make_thumbnail(encoded_image: bytes, pixels: int = PIXELS) -> Thumbnail:
    """Makes a photograph small, at most `pixels` a side; OSError if its bytes do not decode."""
    image = Image.open(io.BytesIO(encoded_image))
    width = image.width
    image.draft("RGB", (2 * pixels, 2 * pixels))  # JPEG then is decoded at a fraction of its size.
    image.thumbnail((pixels, pixels))
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=_QUALITY)
    return Thumbnail(file.getvalue(), width)


def data_url(content: bytes, kind: str = "jpeg") -> str:
    """Returns an image file as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def read_thumbnails(folder: ShardFolder, split: str, image_ids: Collection[int]) -> dict[int, Thumbnail]:
    """Makes thumbnails of a split's photographs, by image id; those that do not decode are left out.

    Args:
        folder: of image shards, or of feature shards, whose image shards are read instead.
        split: name of the split.
        image_ids: the photographs wanted; the result lacks those that are not in the shards.

    Raises:
        FileNotFoundError: if the image shards are gone.
        ValueError: if a shard is damaged.
    """
    folder = folder.photographs()
    wanted = frozenset(image_ids)
    layout = folder.manifest.layout
    paths = folder.shard_paths(split)

    def read(path: str) -> dict[int, Thumbnail]:
        found: dict[int, Thumbnail] = {}
        for record in read_records(storage.read_bytes(path)):
            example = take_apart(record, layout)
            if example.image_id in wanted and example.image_id not in found:
                try:
                    found[example.image_id] = make_thumbnail(example.encoded_image or b"")
                except OSError:
                    continue  # Counted by whoever misses it.
        return found

    try:
        parts = for_each_shard({path: storage.size(path) for path in paths}, read, os.cpu_count() or 1)
    except ValueError as error:
        raise ValueError(
            f"A shard of {split} in {folder.path} is damaged: {error}. "
            f"Run `python -m data_prep.verify_data --data_dir={folder.path}`."
        ) from error
    return {image_id: thumbnail for part in parts.values() for image_id, thumbnail in part.items()}


def place(thumbnails: Mapping[int, Thumbnail], page_path: str, most_bytes: int) -> tuple[dict[int, str], str]:
    """Returns the address of each thumbnail, by image id, and the folder that must stay beside the page, if any.

    Args:
        thumbnails: by image id.
        page_path: where the page will be.
        most_bytes: up to this sum of their sizes they go into the page; beyond it, into a folder that is named like
            the page.
    """
    if sum(len(thumbnail.jpeg) for thumbnail in thumbnails.values()) <= most_bytes:
        return {image_id: data_url(thumbnail.jpeg) for image_id, thumbnail in thumbnails.items()}, ""
    folder = f"{os.path.splitext(page_path)[0]}_files"
    storage.make_directory(folder)
    for image_id, thumbnail in thumbnails.items():
        storage.write_bytes(storage.join(folder, f"{image_id}.jpg"), thumbnail.jpeg)
    name = folder.replace(os.sep, "/").rsplit("/", 1)[-1]
    return {image_id: f"{urllib.parse.quote(name)}/{image_id}.jpg" for image_id in thumbnails}, name
