"""Each damage is done to the JSON of a sound manifest; what is refused is told in one line that names the place."""

import copy
import json
from typing import Any

import pytest

from im2txt.shards.manifest import Manifest

SHARD = {"bytes": 500, "captions_per_example": {"2": 2}, "crc32c": "0123abcd"}
ENCODER = {
    "backbone": "SmallCNN",
    "weights": "none",
    "weights_sha256": "ab",
    "image_size": 64,
    "crop_fraction": 0.875,
    "pooling": "avg",
    "feature_shape": [128],
    "source_manifest_crc32c": "00000000",
    "source_dir": "/shards",
}
SOUND: dict[str, Any] = {
    "layout": "image",
    "tokenizer": "treebank",
    "vocabulary_sha256": "ab",
    "seed": -3,
    "splits": {
        "train": {
            "images": 4,
            "captions": 8,
            "words": 30,
            "unknown_words": 2,
            "captions_per_image": {"2": 4},
            "shards": [{"name": f"train-0000{i}-of-00002", **SHARD} for i in range(2)],
        }
    },
    "skipped": {"truncated": 1},
    "options": {"anything": [1, {}]},
    "tool_version": "0.1.0",
    "encoder": ENCODER,
    "warnings": ["odd"],
    "vocabulary_only_captions": 0,
    "format_version": 1,
}
TRAIN = ("splits", "train")
FIRST = (*TRAIN, "shards", 0)


def changed(path: tuple[str | int, ...], value: Any) -> str:
    """The sound manifest with one value replaced; without it if the value is `...`."""
    fields = copy.deepcopy(SOUND)
    target = fields
    for key in path[:-1]:
        target = target[key]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return json.dumps(fields)


def test_the_sound_manifest_is_read():
    manifest = Manifest.from_json(json.dumps(SOUND))
    assert manifest.split("train").examples == 4
    assert manifest.encoder is not None
    assert manifest.encoder.feature_shape == (128,)


def test_a_shard_may_be_empty_where_all_its_photographs_were_left_out():
    shards = [{"name": "train-00000-of-00002", **SHARD, "captions_per_example": {"2": 4}}]
    shards += [{"name": "train-00001-of-00002", "bytes": 0, "captions_per_example": {}, "crc32c": "00000000"}]
    assert Manifest.from_json(changed((*TRAIN, "shards"), shards)).split("train").examples == 4


def test_an_empty_split_is_read_but_not_used():
    empty = {"images": 0, "captions": 0, "words": 0, "unknown_words": 0, "captions_per_image": {}}
    shards = [{"name": "val-00000-of-00001", "bytes": 0, "captions_per_example": {}, "crc32c": "00000000"}]
    manifest = Manifest.from_json(changed(("splits", "val"), empty | {"shards": shards}))
    with pytest.raises(ValueError, match="Split 'val' holds no photograph: all were left out"):
        manifest.split("val")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("layout",), "x", "layout is 'x'; it must be one of image, pair"),
        (("layout",), ["image"], "layout is ['image']; it must be one of"),
        (("tokenizer",), "../x", "tokenizer is '../x'; it must be one of treebank"),
        (("seed",), 1.5, "seed is 1.5; it must be a whole number"),
        (("seed",), True, "seed is True"),
        (("vocabulary_sha256",), None, "vocabulary_sha256 is None; it must be a text"),
        (("skipped",), {"truncated": -1}, "skipped.truncated is -1"),
        (("skipped",), [], "skipped is []; it must be an object"),
        (("options",), "", "options is ''"),
        (("warnings",), [1], "warnings is [1]; it must be a list of texts"),
        (("vocabulary_only_captions",), -1, "vocabulary_only_captions is -1"),
        (("tool_version",), 1, "tool_version is 1"),
        (("tool_version",), ..., "the manifest lacks 'tool_version'"),
        (("surprise",), 1, "the manifest has the unknown field 'surprise'"),
        (("splits",), {}, "splits is {}; it must be one split or more"),
        (("splits",), [], "splits is []"),
        (("splits",), {"../x": {}}, "a name in splits is '../x'"),
        (TRAIN, 3, "splits.train is 3; it must be an object"),
        ((*TRAIN, "shards"), [], "splits.train.shards is []; it must be a list of one shard or more"),
        ((*TRAIN, "shards"), {}, "splits.train.shards is {}"),
        ((*TRAIN, "images"), 5, "splits.train has 5 images, 4 with captions"),
        ((*TRAIN, "captions"), 10**12, "splits.train has 1000000000000 captions, 8 in its shards"),
        ((*TRAIN, "captions_per_image"), {"4": 2}, "splits.train has 4 images, 2 with captions"),
        ((*TRAIN, "captions_per_image"), {"1": 4}, "splits.train has 8 captions, 4 of its images"),
        ((*TRAIN, "words"), 7, "splits.train has 8 captions of 7 words"),
        ((*TRAIN, "unknown_words"), 31, "31 of them unknown"),
        (FIRST, None, "splits.train.shards[0] is None"),
        ((*FIRST, "name"), "/etc/passwd", "splits.train.shards[0].name is '/etc/passwd'; it must be train-00000-of-"),
        ((*FIRST, "name"), 7, "splits.train.shards[0].name is 7; it must be a text"),
        ((*FIRST, "name"), "train-00001-of-00002", "the plain name of shard 0 of 2"),
        ((*FIRST, "name"), "val-00000-of-00002", "the plain name of shard 0 of 2"),
        ((*FIRST, "name"), "train-00000-of-00003", "the plain name of shard 0 of 2"),
        ((*FIRST, "bytes"), 10, "splits.train.shards[0].bytes is 10; it must be enough for 2 examples with 4 captions"),
        ((*FIRST, "bytes"), 2**62, "splits.train.shards[0].bytes is 4611686018427387904"),
        ((*FIRST, "crc32c"), "0123ABCD", "splits.train.shards[0].crc32c is '0123ABCD'; it must be 8 hexadecimal"),
        ((*FIRST, "captions_per_example"), {"1000000000000": 2}, "must be enough for 2 examples with 2000000000000"),
        ((*FIRST, "captions_per_example"), {"-3": 2}, "shards[0].captions_per_example: '-3'"),
        ((*FIRST, "captions_per_example"), {"0": 2}, "captions_per_example: '0'"),
        ((*FIRST, "captions_per_example"), {"²": 2}, "captions_per_example: '²'"),
        ((*FIRST, "captions_per_example"), {"2": 0}, "captions_per_example.2 is 0"),
        ((*FIRST, "captions_per_example"), {"2": 1}, "splits.train has 8 captions, 6 in its shards"),
        ((*FIRST, "captions_per_example"), {"1": 4}, "splits.train has 4 images, 6 in its shards"),
        (("encoder",), {}, "encoder lacks 'backbone'"),
        (("encoder", "image_size"), -1, "encoder.image_size is -1"),
        (("encoder", "crop_fraction"), float("nan"), "encoder.crop_fraction is nan; it must be a number above 0"),
        (("encoder", "feature_shape"), [], "encoder.feature_shape is []"),
        (("encoder", "feature_shape"), [-1], "encoder.feature_shape is -1"),
        (("encoder", "feature_shape"), [2**20, 2**20], "of 268435456 features at most"),
        (("encoder", "source_manifest_crc32c"), "x", "encoder.source_manifest_crc32c is 'x'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(path, value, message):
    with pytest.raises(ValueError, match="^/data/manifest.json is not a manifest of this tool: ") as caught:
        Manifest.from_json(changed(path, value), "/data/manifest.json")
    line = str(caught.value)
    assert message in line
    assert "\n" not in line
    assert len(line) < 300


def test_layout_pair_has_one_caption_per_example():
    with pytest.raises(ValueError, match="captions_per_example is {'2': 2}; it must be 1 each in layout 'pair'"):
        Manifest.from_json(changed(("layout",), "pair"))


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '{"format_version": 1}', "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_manifest_at_all_is_refused(text):
    with pytest.raises(ValueError, match=r"manifest\.json is not a manifest of this tool"):
        Manifest.from_json(text)
