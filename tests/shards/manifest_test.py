import dataclasses
import json

import pytest

from im2txt.shards import manifest as manifests
from im2txt.shards.shard_folder import ShardFolder
from im2txt.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary([("a", 3), ("<S>", 2), ("</S>", 2)])
MANIFEST = manifests.Manifest(
    layout="image",
    tokenizer="treebank",
    vocabulary_sha256=VOCABULARY.fingerprint(),
    seed=3,
    splits={
        "train": manifests.SplitEntry(
            images=3,
            captions=7,
            words=30,
            unknown_words=2,
            captions_per_image={1: 1, 3: 2},
            shards=(
                manifests.ShardEntry("train-00000-of-00002", 64, "0a1b2c3d", {1: 1, 3: 1}),
                manifests.ShardEntry("train-00001-of-00002", 40, "ffffffff", {3: 1}),
            ),
        )
    },
    skipped={"truncated": 1},
    options={"verify": "header"},
    tool_version="0.1.0",
    warnings=("captions.csv: one line was mended.",),
    vocabulary_only_captions=5,
)
# As the first version wrote it.
GOLDEN = """
{"encoder": null, "format_version": 1, "layout": "pair", "options": {"seed": 1}, "seed": 1, "skipped": {"no_split": 2},
 "splits": {"val": {"captions": 2, "captions_per_image": {"2": 1}, "images": 1, "shards": [{"bytes": 99,
 "captions_per_example": {"1": 2}, "crc32c": "00000001", "name": "val-00000-of-00001"}], "unknown_words": 1,
 "words": 8}}, "tokenizer": "coco", "tool_version": "0.1.0", "vocabulary_sha256": "ab"}
"""


def write_folder(folder):
    manifests.write_manifest(str(folder), MANIFEST)
    (folder / "word_counts.txt").write_text(VOCABULARY.to_text())
    (folder / "train-00000-of-00002").write_bytes((b"\x10" + bytes(31)) * 2)
    (folder / "train-00001-of-00002").write_bytes(b"\x18" + bytes(39))


def test_what_is_written_is_read(tmp_path):
    manifests.write_manifest(str(tmp_path), MANIFEST)
    assert ShardFolder.open(str(tmp_path)).manifest == MANIFEST


def test_an_encoder_is_read_back(tmp_path):
    encoder = manifests.EncoderEntry("MobileNetV2", "imagenet", "ab", 224, 0.875, "avg", (1280,), "0123abcd", "/shards")
    with_encoder = dataclasses.replace(MANIFEST, encoder=encoder)
    manifests.write_manifest(str(tmp_path), with_encoder)
    assert ShardFolder.open(str(tmp_path)).manifest == with_encoder


def test_a_golden_manifest_of_the_first_version_still_reads():
    manifest = manifests.Manifest.from_json(GOLDEN)
    shard = manifests.ShardEntry("val-00000-of-00001", 99, "00000001", {1: 2})
    assert manifest.split("val") == manifests.SplitEntry(1, 2, 8, 1, {2: 1}, (shard,))
    assert (manifest.layout, manifest.split("val").examples) == ("pair", 2)


def test_the_same_manifest_gives_the_same_text():
    reordered = dataclasses.replace(MANIFEST, options=dict(reversed(list(MANIFEST.options.items()))))
    assert reordered.to_json() == MANIFEST.to_json()


def test_a_folder_without_manifest_is_not_complete(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder is no finished set of shards"):
        ShardFolder.open(str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "manifest.json is not a manifest of this tool"),
        (lambda text: "[1]", "manifest.json is not a manifest of this tool"),
        (lambda text: json.dumps(json.loads(text) | {"format_version": 99}), "format_version is 99, this tool reads 1"),
        (lambda text: json.dumps(json.loads(text) | {"surprise": 1}), "surprise"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "splits"}), "'splits'"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, damage, message):
    (tmp_path / "manifest.json").write_text(damage(MANIFEST.to_json()))
    with pytest.raises(ValueError, match=message):
        ShardFolder.open(str(tmp_path))


def test_an_unknown_split_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"Split 'dev' is not in the manifest, which holds \['train'\]"):
        MANIFEST.split("dev")


def test_shard_paths_are_checked_against_the_disk(tmp_path):
    write_folder(tmp_path)
    paths = ShardFolder(str(tmp_path), MANIFEST).shard_paths("train")
    assert paths == [str(tmp_path / "train-00000-of-00002"), str(tmp_path / "train-00001-of-00002")]
    (tmp_path / "train-00001-of-00002").write_bytes(bytes(39))
    with pytest.raises(ValueError, match="train-00001-of-00002 has 39 bytes, its manifest says 40"):
        ShardFolder(str(tmp_path), MANIFEST).shard_paths("train")
    (tmp_path / "train-00001-of-00002").unlink()
    with pytest.raises(FileNotFoundError, match="Found 1 of 2 shards for .*; missing 00001"):
        ShardFolder(str(tmp_path), MANIFEST).shard_paths("train")


def test_a_swapped_vocabulary_is_refused(tmp_path):
    write_folder(tmp_path)
    assert ShardFolder(str(tmp_path), MANIFEST).read_vocabulary().words == VOCABULARY.words
    (tmp_path / "word_counts.txt").write_text("<S> 2\n</S> 2\na 3")
    with pytest.raises(ValueError, match="is not the vocabulary these shards were written with"):
        ShardFolder(str(tmp_path), MANIFEST).read_vocabulary()
