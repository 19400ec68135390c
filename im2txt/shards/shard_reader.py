"""Shards read back record by record, every checksum checked: for the commands that look at shards, not for training."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from im2txt.shards import records
from im2txt.shards.records import Layout
from im2txt.shards.sequence_example import Feature, SequenceExample, stored_features
from im2txt.system.progress import progress_bar

Result = TypeVar("Result")

_NOTHING = Feature()


@dataclasses.dataclass(frozen=True)
class Example:
    """One record, taken apart.

    Attributes:
        image_id: the photograph's id.
        encoded_image: bytes of the photograph's file, None in feature shards.
        features: float32, or float16 where stored as such, flat; None in image shards.
        captions: words of each caption as written, `<S>` and `</S>` included.
        caption_ids: ids of each caption as written.
    """

    image_id: int
    encoded_image: bytes | None
    features: np.ndarray | None
    captions: list[list[str]]
    caption_ids: list[list[int]]


def for_each_shard(sizes: Mapping[str, int], function: Callable[[str], Result], num_readers: int) -> dict[str, Result]:
    """Calls a function for several shards at a time, under a progress bar.

    Args:
        sizes: bytes by shard name, for the bar.
        function: called in threads; what it spends its time on (reading, hashing, decoding) lets others run.
        num_readers: threads.

    Returns:
        The results by shard name, in the order of `sizes`.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(num_readers) as pool,
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
    features = stored_features(context.get(records.IMAGE_FEATURES, _NOTHING))
    captions = [[word.decode() for word in step.bytes_list.value] for step in lists.get(records.CAPTION, ())]
    caption_ids = [list(step.int64_list.value) for step in lists.get(records.CAPTION_IDS, ())]
    if len(ids) != 1:
        raise ValueError(f"it has {len(ids)} values of {records.IMAGE_ID}, not one")
    if not encoded and features is None:
        raise ValueError(f"it has neither {records.IMAGE_DATA} nor {records.IMAGE_FEATURES}")
    if layout == "pair":
        if any(len(step) != 1 for step in (*captions, *caption_ids)):
            raise ValueError("it does not hold one word per step: it is not of layout 'pair'")
        captions, caption_ids = [[word for (word,) in captions]], [[word_id for (word_id,) in caption_ids]]
    return Example(
        image_id=ids[0],
        encoded_image=encoded[0] if encoded else None,
        features=features,
        captions=captions,
        caption_ids=caption_ids,
    )
