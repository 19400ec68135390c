"""Shards read back record by record, every checksum checked: for the commands that look at shards, not for training."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError

from data_prep.progress import progress_bar
from data_prep.sequence_example import Feature, SequenceExample
from im2txt import records
from im2txt.records import Layout

Result = TypeVar("Result")

_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_NOTHING = Feature()


@dataclasses.dataclass(frozen=True)
class Example:
    """One record, taken apart.

    Attributes:
        image_id: the photograph's id.
        encoded_image: bytes of the photograph's file, None in feature shards.
        features: float32, flat, None in image shards.
        captions: words of each caption as written, `<S>` and `</S>` included.
        caption_ids: ids of each caption as written.
    """

    image_id: int
    encoded_image: bytes | None
    features: np.ndarray | None
    captions: list[list[str]]
    caption_ids: list[list[int]]


def for_each_shard(sizes: Mapping[str, int], function: Callable[[str], Result], num_workers: int) -> dict[str, Result]:
    """Calls a function for several shards at a time, under a progress bar.

    Args:
        sizes: bytes by shard name, for the bar.
        function: called in threads; what it spends its time on (reading, hashing, decoding) lets others run.
        num_workers: threads.

    Returns:
        The results by shard name, in the order of `sizes`.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(num_workers) as pool,
        progress_bar("reading", total=sum(sizes.values()), unit="B", unit_scale=True) as progress,
    ):
        futures = {name: pool.submit(function, name) for name in sizes}
        names = {future: name for name, future in futures.items()}
        try:
            for future in concurrent.futures.as_completed(names):
                future.result()
                progress.update(sizes[names[future]])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: future.result() for name, future in futures.items()}


def read_records(content: bytes) -> Iterator[bytes]:
    """Yields a shard's records in order.

    Args:
        content: a whole TFRecord file: per record its length (8 bytes, little-endian), the length's masked CRC32C
            (4 bytes), the data, and the data's masked CRC32C.

    Raises:
        ValueError: naming the record and its byte where a checksum fails or the file ends too early. The records
            before it were yielded.
    """
    position, number = 0, 0
    while position < len(content):
        where = f"record {number} at byte {position}"
        header = content[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES:
            raise ValueError(f"{where}: the file ends within the record's length")
        length, length_crc = struct.unpack("<QI", header)
        if length_crc != _masked_crc(header[:8]):
            raise ValueError(f"{where}: the checksum of the record's length is wrong")
        start = position + _HEADER_BYTES
        end = start + length
        if end + _FOOTER_BYTES > len(content):
            raise ValueError(f"{where}: the file ends after {len(content) - start} of the record's {length + 4} bytes")
        data = content[start:end]
        if struct.unpack_from("<I", content, end)[0] != _masked_crc(data):
            raise ValueError(f"{where}: the checksum of the record's data is wrong")
        yield data
        position, number = end + _FOOTER_BYTES, number + 1


def take_apart(record: bytes, layout: Layout) -> Example:
    """Parses a record, words included.

    Raises:
        ValueError: if it is no `tf.SequenceExample`, lacks a key, or does not have the layout.
    """
    try:
        example = SequenceExample.FromString(record)
    except DecodeError as error:
        raise ValueError("it is no tf.SequenceExample") from error
    context = {entry.key: entry.value for entry in example.context.feature}
    lists = {entry.key: entry.value.feature for entry in example.feature_lists.feature_list}
    ids = context.get(records.IMAGE_ID, _NOTHING).int64_list.value
    encoded = context.get(records.IMAGE_DATA, _NOTHING).bytes_list.value
    features = context.get(records.IMAGE_FEATURES, _NOTHING).float_list.value
    captions = [[word.decode() for word in step.bytes_list.value] for step in lists.get(records.CAPTION, ())]
    caption_ids = [list(step.int64_list.value) for step in lists.get(records.CAPTION_IDS, ())]
    if len(ids) != 1:
        raise ValueError(f"it has {len(ids)} values of {records.IMAGE_ID}, not one")
    if not encoded and not features:
        raise ValueError(f"it has neither {records.IMAGE_DATA} nor {records.IMAGE_FEATURES}")
    if layout == "pair":
        if any(len(step) != 1 for step in (*captions, *caption_ids)):
            raise ValueError("it does not hold one word per step: it is not of layout 'pair'")
        captions, caption_ids = [[word for (word,) in captions]], [[word_id for (word_id,) in caption_ids]]
    return Example(
        image_id=ids[0],
        encoded_image=encoded[0] if encoded else None,
        features=np.frombuffer(features, "<f4") if features else None,
        captions=captions,
        caption_ids=caption_ids,
    )


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
