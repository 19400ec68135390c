"""Photographs in files of many: this project's shards, other TFRecords, and tar files of WebDataset.

Every record gives an id and the bytes of an image file, or what is wrong with it: whoever captions a million
photographs wants to know of the bad ones, not to stop at them.
"""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from im2txt.shards import records
from im2txt.shards.sequence_example import SequenceExample
from im2txt.shards.tfrecords import Damage, scan_records

IMAGE_KEYS = (records.IMAGE_DATA, "image/encoded")
"""Where the image's bytes are looked for in a record; the second is what most makers of `tf.Example` use."""
ID_KEYS = (records.IMAGE_ID, "image/key", "image/filename", "image/source_id")
"""Where the photograph's id is looked for."""
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """One photograph of a file.

    Attributes:
        image_id: as the file has it; the record's number where it has none.
        encoded_image: bytes of the image file; empty if there is an error.
        error: what is wrong with the record; empty if nothing is.
    """

    image_id: int | str
    encoded_image: bytes = b""
    error: str = ""


def read_image_records(name: str, content: bytes) -> Iterator[ImageRecord]:
    """Yields a file's photographs in order.

    Records of `tf.SequenceExample` and `tf.Example` look alike here: the context of the one lies where the other has
    its features. In a tar file every member with an image's ending is a photograph, and its name without the ending
    the id; members of other kinds are passed over.

    Args:
        name: the file's; `.tar` says what it is, anything else is TFRecord.
        content: the file's bytes.
    """
    return _read_tar(content) if name.endswith(".tar") else _read_tfrecord(content)


def _read_tfrecord(content: bytes) -> Iterator[ImageRecord]:
    for number, record in enumerate(scan_records(content)):
        if isinstance(record, Damage):
            yield ImageRecord(number, error=f"damaged: {record.what}")
            continue
        try:
            features = {entry.key: entry.value for entry in SequenceExample.FromString(record).context.feature}
        except (DecodeError, UnicodeDecodeError):
            yield ImageRecord(number, error="not_an_example: it is neither tf.SequenceExample nor tf.Example")
            continue
        image_id = _first_id(features, number)
        images = [value for key in IMAGE_KEYS if key in features for value in features[key].bytes_list.value]
        if len(images) == 1 and images[0]:
            yield ImageRecord(image_id, images[0])
        else:
            yield ImageRecord(
                image_id, error=f"no_image: {len(images)} images under {' or '.join(IMAGE_KEYS)}, not one"
            )


def _first_id(features: dict[str, object], number: int) -> int | str:
    for key in ID_KEYS:
        feature = features.get(key)
        for value in (*feature.int64_list.value, *feature.bytes_list.value) if feature is not None else ():  # type: ignore[attr-defined]
            return value if isinstance(value, int) else value.decode(errors="replace")
    return number


def _read_tar(content: bytes) -> Iterator[ImageRecord]:
    number = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                stem, dot, ending = member.name.rpartition(".")
                if not member.isfile() or f"{dot}{ending}".lower() not in _IMAGE_ENDINGS:
                    continue
                number += 1
                file = archive.extractfile(member)
                encoded = file.read() if file else b""
                is_whole = len(encoded) == member.size and encoded
                yield ImageRecord(stem, encoded) if is_whole else ImageRecord(stem, error="truncated: the file is cut")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        yield ImageRecord(number, error=f"damaged: the rest of the tar file cannot be read: {error}")
