import re

import pytest

from im2txt.shards import shard_names


def test_names_have_five_digits():
    assert shard_names.shard_name("train", 7, 256) == "train-00007-of-00256"
    assert shard_names.parse_shard_name("train-00007-of-00256") == shard_names.ShardName("train", 7, 256)


@pytest.mark.parametrize(
    "name",
    [
        ".tmp-train-00007-of-00256-123",
        "train-00007-of-00256.tmp",
        "train-7-of-256",
        "train-00007-of-00256 ",
        "-00007-of-00256",
        ".done-train-00007_00256",
        "captions_train.json",
    ],
)
def test_other_files_are_no_shards(name):
    assert shard_names.parse_shard_name(name) is None


@pytest.mark.parametrize(("index", "count"), [(-1, 4), (4, 4), (0, 0), (0, 100_000)])
def test_an_index_out_of_range_is_refused(index, count):
    with pytest.raises(ValueError, match=f"Shard {index} of {count}: needs 0 <= index < count <= 99999"):
        shard_names.shard_name("train", index, count)


def test_a_split_name_that_would_not_parse_is_refused():
    with pytest.raises(ValueError, match="Split name 'my-split' may hold letters, digits and '_' only"):
        shard_names.shard_name("my-split", 0, 1)


def test_a_complete_set_is_listed_in_order_of_index():
    names = ["train-00001-of-00002", "manifest.json", "val-00000-of-00001", "train-00000-of-00002"]
    assert shard_names.complete_shard_set(names, "train", "/d") == ["train-00000-of-00002", "train-00001-of-00002"]


def test_99_of_100_shards_are_no_set():
    names = [shard_names.shard_name("train", i, 100) for i in range(100) if i != 17]
    expected = "Found 99 of 100 shards for /d/train-?????-of-00100; missing 00017. Run"
    with pytest.raises(FileNotFoundError, match=re.escape(expected)):
        shard_names.complete_shard_set(names, "train", "/d")


def test_no_shards_and_two_builds_are_told_apart():
    with pytest.raises(FileNotFoundError, match=re.escape("No shard matches /d/val-?????-of-?????")):
        shard_names.complete_shard_set(["train-00000-of-00001"], "val", "/d")
    with pytest.raises(ValueError, match=r"several builds, with \[1, 2\] shards"):
        shard_names.complete_shard_set(["val-00000-of-00001", "val-00000-of-00002"], "val", "/d")
