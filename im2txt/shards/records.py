"""The example on disk: its keys, how it is written and how it is read.

An example is a `tf.SequenceExample` with the keys of the original im2txt:

    context        image/image_id     int64 [1]
                   image/data         bytes [1]    the encoded photograph, untouched
    feature lists  image/caption      words, `<S>` and `</S>` included
                   image/caption_ids  the same words as ids

Layout `pair` (the original's) holds one caption and one word per step of the two lists. Layout `image` holds all
captions of a photograph: each step of the two lists is one caption, its Feature holding all words or ids.

In feature shards `image/features` takes the place of `image/data`: the numbers flattened, their shape in the manifest;
float32 as a FloatList, float16 as one string of bytes, little-endian.

Writing assembles the protocol buffer by hand: building a proto object costs several times as much per example, and
preparation workers need not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

IMAGE_ID = "image/image_id"
IMAGE_DATA = "image/data"
IMAGE_FEATURES = "image/features"
CAPTION = "image/caption"
CAPTION_IDS = "image/caption_ids"

Layout = Literal["image", "pair"]
FeatureDtype = Literal["float32", "float16"]


def encode_example(
    image_id: int,
    encoded_image: bytes,
    captions: Sequence[Sequence[str]],
    caption_ids: Sequence[Sequence[int]],
    layout: Layout,
) -> bytes:
    """Serialises one example.

    Args:
        image_id: the photograph's id, in [0, 2**63).
        encoded_image: the bytes of the image file.
        captions: words of each caption, `<S>` and `</S>` included.
        caption_ids: the same captions as word ids.
        layout: `pair` takes exactly one caption, `image` one or more.

    Returns:
        A serialised `tf.SequenceExample`; the same arguments always give the same bytes.

    Raises:
        ValueError: if the captions do not fit the layout or each other.
    """
    if not captions or (layout == "pair" and len(captions) != 1):
        raise ValueError(
            f"Image {image_id} has {len(captions)} captions; layout '{layout}' takes "
            f"{'exactly one' if layout == 'pair' else 'at least one'}."
        )
    if [len(words) for words in captions] != [len(ids) for ids in caption_ids]:
        raise ValueError(f"Image {image_id}: captions and caption_ids differ in length.")
    if layout == "pair":
        words_per_step: Iterable[Sequence[str]] = ([word] for word in captions[0])
        ids_per_step: Iterable[Sequence[int]] = ([word_id] for word_id in caption_ids[0])
    else:
        words_per_step, ids_per_step = captions, caption_ids
    # Parts that are joined at the very end: the photograph, nested five fields deep, is copied once.
    feature = _enclose(1, _enclose(1, [encoded_image]))
    image_entry = _enclose(1, [_field(1, IMAGE_DATA.encode()), *_enclose(2, feature)])
    context = _enclose(1, [*image_entry, _map_entry(IMAGE_ID, _int64_feature([image_id]))])
    words = _feature_list(_bytes_feature([word.encode() for word in step]) for step in words_per_step)
    ids = _feature_list(_int64_feature(step) for step in ids_per_step)
    lists = _field(2, _map_entry(CAPTION, words) + _map_entry(CAPTION_IDS, ids))
    return b"".join([*context, lists])


def replace_image_with_features(serialized: bytes, features: np.ndarray) -> bytes:
    """Returns the example with `image/features`, float32 or float16 of any shape, instead of `image/data`."""
    import tensorflow as tf  # Deferred: see the module's docstring.

    example = tf.train.SequenceExample.FromString(serialized)
    del example.context.feature[IMAGE_DATA]
    feature = example.context.feature[IMAGE_FEATURES]
    if features.dtype == "float16":
        feature.bytes_list.value.append(features.astype("<f2").tobytes())
    else:
        feature.float_list.value.extend(features.ravel().tolist())
    return example.SerializeToString(deterministic=True)


def parse_example(
    serialized: tf.Tensor,
    layout: Layout,
    feature_shape: Sequence[int] | None = None,
    feature_dtype: FeatureDtype = "float32",
) -> dict[str, tf.Tensor]:
    """Parses one example inside a tf.data pipeline.

    Args:
        serialized: string [], a `tf.SequenceExample`.
        layout: how the captions are laid out; the manifest says.
        feature_shape: shape of `image/features` for feature shards, None for image shards.
        feature_dtype: their type in the record.

    Returns:
        `image_id` int64 []; `encoded_image` string [], or `features` [*feature_shape] of feature_dtype;
        `caption_ids` int64 RaggedTensor [captions, words], `<S>` and `</S>` included.
    """
    import tensorflow as tf  # Deferred: see the module's docstring.

    context_features = {IMAGE_ID: tf.io.FixedLenFeature([], tf.int64)}
    if feature_shape is None:
        context_features[IMAGE_DATA] = tf.io.FixedLenFeature([], tf.string)
    elif feature_dtype == "float32":
        context_features[IMAGE_FEATURES] = tf.io.FixedLenFeature(feature_shape, tf.float32)
    else:
        context_features[IMAGE_FEATURES] = tf.io.FixedLenFeature([], tf.string)
    context, lists = tf.io.parse_single_sequence_example(
        serialized,
        context_features=context_features,
        sequence_features={CAPTION_IDS: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)},
    )
    caption_ids = lists[CAPTION_IDS]
    if layout == "pair":
        caption_ids = tf.RaggedTensor.from_row_lengths(
            caption_ids.values, [tf.size(caption_ids.values, out_type=tf.int64)]
        )
    example = {"image_id": context[IMAGE_ID], "caption_ids": caption_ids}
    if feature_shape is None:
        example["encoded_image"] = context[IMAGE_DATA]
    elif feature_dtype == "float32":
        example["features"] = context[IMAGE_FEATURES]
    else:
        example["features"] = tf.reshape(tf.io.decode_raw(context[IMAGE_FEATURES], tf.float16), feature_shape)
    return example


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field; every field of these messages is one."""
    return _field_head(number, len(payload)) + payload


def _field_head(number: int, size: int) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(size)


def _enclose(number: int, parts: list[bytes]) -> list[bytes]:
    """A field whose payload, and itself, are parts to be joined."""
    return [_field_head(number, sum(map(len, parts))), *parts]


def _bytes_feature(values: Iterable[bytes]) -> bytes:
    return _field(1, b"".join(_field(1, value) for value in values))


def _int64_feature(values: Iterable[int]) -> bytes:
    return _field(3, _field(1, b"".join(map(_varint, values))))


def _feature_list(features: Iterable[bytes]) -> bytes:
    return b"".join(_field(1, feature) for feature in features)


def _map_entry(key: str, value: bytes) -> bytes:
    return _field(1, _field(1, key.encode()) + _field(2, value))
