"""Whether the content of a `manifest.json` makes sense: types, ranges, names and sums.

A manifest may come from anywhere, and everything that reads a folder goes by it: how many captions there are decides on
the length of an epoch, the shards' names on which files are opened. So it is checked once, as a whole, before any of it
is believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from im2txt.configuration import ResizeMethod
from im2txt.shards.records import FeatureDtype, Layout
from im2txt.shards.shard_names import ShardName, parse_shard_name
from im2txt.text.tokenization import TOKENIZERS

_MIN_EXAMPLE_BYTES = 16
"""The frame of a record."""
_MIN_CAPTION_BYTES = 8
"""A caption's words and ids, `<S>` and `</S>` at least."""
_MAX_BYTES = 1 << 53
_MAX_FEATURES = 1 << 28
_SPLIT_NAME = re.compile("[A-Za-z0-9_]+")
_CHECKSUM = re.compile("[0-9a-f]{8}")
_SHOWN_CHARACTERS = 60

Check = Callable[[Any, str], None]


def check_manifest(fields: Any) -> None:
    """Checks a manifest as it came out of JSON.

    Raises:
        ValueError: in one line, naming the first field that is missing, unknown, of the wrong type or out of range, or
            the numbers that do not add up.
    """
    _check_fields(fields, "the manifest", _MANIFEST_FIELDS, optional=("warnings", "vocabulary_only_captions"))
    for name, split in fields["splits"].items():
        _check_split(name, split, f"splits.{name}", fields["layout"])


def _fail(where: str, value: Any, rule: str) -> None:
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."
    raise ValueError(f"{where} is {shown}; it must be {rule}")


def _check_fields(value: Any, where: str, checks: Mapping[str, Check], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        _fail(where, value, "an object")
    if missing := sorted(checks.keys() - value.keys() - set(optional)):
        raise ValueError(f"{where} lacks {missing[0]!r}")
    if unknown := sorted(value.keys() - checks.keys()):
        raise ValueError(f"{where} has the unknown field {unknown[0][:_SHOWN_CHARACTERS]!r}")
    for name, field in value.items():
        checks[name](field, name if where == "the manifest" else f"{where}.{name}")


def _integer(smallest: int, largest: int = _MAX_BYTES) -> Check:
    def check(value: Any, where: str) -> None:
        if type(value) is not int or not smallest <= value <= largest:
            _fail(where, value, f"a whole number from {smallest} to {largest}")

    return check


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        _fail(where, value, "a text")


def _choice(*names: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in names:  # Also of what cannot be compared by hash.
            _fail(where, value, f"one of {', '.join(names)}")

    return check


def _checksum(value: Any, where: str) -> None:
    if not isinstance(value, str) or not _CHECKSUM.fullmatch(value):
        _fail(where, value, "8 hexadecimal digits")


def _fraction(value: Any, where: str) -> None:
    if type(value) not in (int, float) or not 0 < value <= 1:
        _fail(where, value, "a number above 0 and up to 1")


def _object(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        _fail(where, value, "an object")


def _texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _fail(where, value, "a list of texts")


def _numbers_by_name(value: Any, where: str) -> None:
    _object(value, where)
    for name, number in value.items():
        _integer(0)(number, f"{where}.{name[:_SHOWN_CHARACTERS]}")


def _histogram(value: Any, where: str) -> None:
    """How many things have how many captions; JSON has the keys as texts."""
    _object(value, where)
    for key, count in value.items():
        if not (key.isascii() and key.isdecimal() and 0 < len(key) < 17 and int(key) > 0):
            _fail(f"{where}: {key!r}", count, "counted for a number of captions, from 1")
        _integer(1)(count, f"{where}.{key}")


def _splits(value: Any, where: str) -> None:
    _object(value, where)
    if not value:
        _fail(where, value, "one split or more")
    for name in value:
        if not _SPLIT_NAME.fullmatch(name):
            _fail(f"a name in {where}", name, "of letters, digits and '_'")


def _feature_shape(value: Any, where: str) -> None:
    total = 1
    if not isinstance(value, list) or not value:
        _fail(where, value, "a list of sizes")
    for size in value:
        _integer(1, _MAX_FEATURES)(size, where)
        total *= size
    if total > _MAX_FEATURES:
        _fail(where, value, f"of {_MAX_FEATURES} features at most")


def _encoder(value: Any, where: str) -> None:
    if value is not None:
        _check_fields(
            value,
            where,
            _ENCODER_FIELDS,
            optional=("resize", "feature_dtype", "compute_dtype", "num_views", "views_split", "views_seed"),
        )


def _check_split(name: str, split: Any, where: str, layout: Layout) -> None:
    _check_fields(split, where, _SPLIT_FIELDS)
    shards = split["shards"]
    if not isinstance(shards, list) or not shards:
        _fail(f"{where}.shards", shards, "a list of one shard or more")
    for index, shard in enumerate(shards):
        place = f"{where}.shards[{index}]"
        _check_fields(shard, place, _SHARD_FIELDS)
        if parse_shard_name(shard["name"]) != ShardName(name, index, len(shards)):
            wanted = f"{name}-{index:05d}-of-{len(shards):05d}, the plain name of shard {index} of {len(shards)}"
            _fail(f"{place}.name", shard["name"], wanted)
        examples, captions = _totals(shard["captions_per_example"])
        if shard["bytes"] < examples * _MIN_EXAMPLE_BYTES + captions * _MIN_CAPTION_BYTES:
            _fail(f"{place}.bytes", shard["bytes"], f"enough for {examples} examples with {captions} captions")
        if layout == "pair" and captions != examples:
            _fail(f"{place}.captions_per_example", shard["captions_per_example"], "1 each in layout 'pair'")
    _check_sums(split, where, layout)


def _check_sums(split: dict[str, Any], where: str, layout: Layout) -> None:
    totals = [_totals(shard["captions_per_example"]) for shard in split["shards"]]
    examples, captions = (sum(column) for column in zip(*totals, strict=True))
    images, captions_of_images = _totals(split["captions_per_image"])
    for name, expected, counted in (
        ("captions", captions, "in its shards"),
        ("captions", captions_of_images, "of its images"),
        ("images", images, "with captions"),
        *((("images", examples, "in its shards"),) if layout == "image" else ()),
    ):
        if split[name] != expected:
            raise ValueError(f"{where} has {split[name]} {name}, {expected} {counted}")
    if split["words"] < captions or split["unknown_words"] > split["words"]:
        raise ValueError(
            f"{where} has {captions} captions of {split['words']} words, {split['unknown_words']} of them unknown"
        )


def _totals(histogram: Mapping[str, int]) -> tuple[int, int]:
    """Returns how many things there are, and how many captions they have together."""
    return sum(histogram.values()), sum(int(key) * count for key, count in histogram.items())


_MANIFEST_FIELDS: dict[str, Check] = {
    "layout": _choice(*get_args(Layout)),
    "tokenizer": _choice(*TOKENIZERS),
    "vocabulary_sha256": _text,
    "seed": _integer(-_MAX_BYTES),
    "splits": _splits,
    "skipped": _numbers_by_name,
    "options": _object,
    "tool_version": _text,
    "encoder": _encoder,
    "warnings": _texts,
    "vocabulary_only_captions": _integer(0),
    "format_version": _integer(1),
}
_SPLIT_FIELDS: dict[str, Check] = {
    "images": _integer(0),
    "captions": _integer(0),
    "words": _integer(0),
    "unknown_words": _integer(0),
    "captions_per_image": _histogram,
    "shards": lambda value, where: None,  # Looked into by `_check_split`, which knows the split's name.
}
_SHARD_FIELDS: dict[str, Check] = {
    "name": _text,
    "bytes": _integer(0),
    "crc32c": _checksum,
    "captions_per_example": _histogram,
}
_LATER_ENCODER_FIELDS = ("resize", "feature_dtype", "compute_dtype", "num_views", "views_split", "views_seed")
_ENCODER_FIELDS: dict[str, Check] = {
    "backbone": _text,
    "weights": _text,
    "weights_sha256": _text,
    "image_size": _integer(0, 1 << 16),
    "crop_fraction": _fraction,
    "pooling": _text,
    "feature_shape": _feature_shape,
    "source_manifest_crc32c": _checksum,
    "source_dir": _text,
    "resize": _choice(*get_args(ResizeMethod)),
    "feature_dtype": _choice(*get_args(FeatureDtype)),
    "compute_dtype": _choice("float32", "bfloat16"),
    "num_views": _integer(1, 1 << 16),
    "views_split": _text,
    "views_seed": _integer(-_MAX_BYTES),
}
