"""Photographs in files of many: this project's shards, other TFRecords, and tar files of WebDataset.

Every record gives an id and the bytes of an image file, or what is wrong with it: whoever captions a million
photographs wants to know of the bad ones, not to stop at them.
"""

from __future__ import annotations

import dataclasses
import os
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from im2txt.shards import records
from im2txt.shards.sequence_example import Feature, SequenceExample, stored_features
from im2txt.shards.tfrecords import Damage, scan_file
from im2txt.system import storage

IMAGE_KEYS = (records.IMAGE_DATA, "image/encoded")
"""Where the image's bytes are looked for in a record; the second is what most makers of `tf.Example` use."""
ID_KEYS = (records.IMAGE_ID, "image/key", "image/filename", "image/source_id")
"""Where the photograph's id is looked for."""
MAX_RECORD_BYTES = storage.MAX_PHOTOGRAPH_BYTES + (1 << 26)
"""A photograph and what is written beside it; larger records are not read."""
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_GZIP = b"\x1f\x8b"
_END_OF_TAR = bytes(tarfile.BLOCKSIZE)
_NOTHING = Feature()


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """One photograph of a file.

    Attributes:
        image_id: as the file has it; the record's number where it has none.
        encoded_image: bytes of the image file; empty if there is an error.
        features: float32, little-endian, where the file holds an encoder's output instead.
        error: what is wrong with the record, a word and a colon first; empty if nothing is.
    """

    image_id: int | str
    encoded_image: bytes = b""
    features: bytes = b""
    error: str = ""


def read_image_records(name: str, file: BinaryIO, skip: int = 0) -> Iterator[ImageRecord]:
    """Yields a file's photographs in order.

    Records of `tf.SequenceExample` and `tf.Example` look alike here: the context of the one lies where the other has
    its features. In a tar file every member with an image's ending is a photograph, and its name without the ending
    the id; members of other kinds are passed over.

    Args:
        name: the file's; `.tar` says what it is, anything else is TFRecord.
        file: its content, which can be sought in; no more than one record of it is held.
        skip: records of a TFRecord to pass over at its beginning.
    """
    if file.read(len(_GZIP)) == _GZIP:
        yield ImageRecord(0, error="compressed: the file is packed by gzip; unpack it")
    elif name.endswith(".tar"):
        yield from _read_tar(file)
    else:
        found = scan_file(file, skip, MAX_RECORD_BYTES)
        yield from (_take_apart(record, number) for number, record in enumerate(found, skip))


def _take_apart(record: bytes | Damage, number: int) -> ImageRecord:
    if isinstance(record, Damage):
        return ImageRecord(number, error=f"damaged: {record.what}")
    try:
        values = {entry.key: entry.value for entry in SequenceExample.FromString(record).context.feature}
    except (DecodeError, UnicodeDecodeError):
        return ImageRecord(number, error="not_an_example: it is neither tf.SequenceExample nor tf.Example")
    image_id = _first_id(values, number)
    images = [value for key in IMAGE_KEYS for value in values.get(key, _NOTHING).bytes_list.value]
    if len(images) == 1 and len(images[0]) > storage.MAX_PHOTOGRAPH_BYTES:
        return ImageRecord(image_id, error=_too_large(len(images[0])))
    if len(images) == 1 and images[0]:
        return ImageRecord(image_id, images[0])
    features = stored_features(values.get(records.IMAGE_FEATURES, _NOTHING))
    if features is not None and not images:
        return ImageRecord(image_id, features=features.astype("<f4").tobytes())
    return ImageRecord(image_id, error=f"no_image: {len(images)} images under {' or '.join(IMAGE_KEYS)}, not one")


def _first_id(values: dict[str, Feature], number: int) -> int | str:
    for key in ID_KEYS:
        feature = values.get(key, _NOTHING)
        for value in (*feature.int64_list.value, *feature.bytes_list.value):
            return value if isinstance(value, int) else value.decode(errors="replace")
    return number


def _too_large(size: int) -> str:
    return f"too_large: {size:,} bytes; a photograph has at most {storage.MAX_PHOTOGRAPH_BYTES:,}"


class _BoundedReader:
    """A file for tarfile, which would ask for as many bytes as a header claims, and get memory for them."""

    def __init__(self, file: BinaryIO):
        self._file, self._size = file, file.seek(0, os.SEEK_END)
        self.tell, self.seek = file.tell, file.seek
        file.seek(0)

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._size - self._file.tell(), MAX_RECORD_BYTES)))


def _read_tar(file: BinaryIO) -> Iterator[ImageRecord]:
    number, end = 0, -1
    try:
        bounded: Any = _BoundedReader(file)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            while (member := archive.next()) is not None:
                if archive.offset <= end:
                    raise tarfile.ReadError("a size below zero")  # tarfile would walk in a circle.
                end = archive.offset
                archive.members.clear()  # type: ignore[attr-defined]  # It would keep all it has seen.
                stem, dot, ending = member.name.rpartition(".")
                if f"{dot}{ending}".lower() in _IMAGE_ENDINGS and not member.isdir():
                    number += 1
                    yield _read_member(archive, member, stem)
            file.seek(archive.offset)
            # tarfile takes a header that it cannot read, or none at all, for the end.
            if file.read(tarfile.BLOCKSIZE) != _END_OF_TAR:
                raise tarfile.ReadError(f"no header and no end of archive at byte {archive.offset}")
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        yield ImageRecord(number, error=f"damaged: the rest of the tar file cannot be read: {error}")


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, stem: str) -> ImageRecord:
    image_id = stem.encode(errors="surrogateescape").decode(errors="replace")
    if not member.isreg() or member.issparse():
        return ImageRecord(image_id, error="not_a_file: a link or another special member of the tar file")
    if member.size > storage.MAX_PHOTOGRAPH_BYTES:
        return ImageRecord(image_id, error=_too_large(member.size))
    file = archive.extractfile(member)
    encoded = file.read() if file else b""
    return ImageRecord(image_id, encoded) if encoded else ImageRecord(image_id, error="empty_file: 0 bytes")
