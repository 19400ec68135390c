import dataclasses
import os
import uuid

import pytest

from data_prep.building import build_folder
from data_prep.building.origin import Origin
from im2txt.shards import manifest as manifests
from im2txt.system import storage

ORIGIN = Origin("Flickr8k", {"images_dir": "photos"}, "/photos", photographs=2, bytes=10, sha256="ab")


def finish(folder, plan="plan a", shard=b"\x22" + bytes(49)):
    """Leaves what a finished build leaves."""
    ORIGIN.write(folder)
    entry = manifests.ShardEntry("train-00000-of-00001", 50, "00000000", {1: 1})
    split = manifests.SplitEntry(1, 1, 1, 0, {1: 1}, (entry,))
    options = {build_folder.PLAN_OPTION: plan}
    manifest = manifests.Manifest("image", "treebank", "", 0, {"train": split}, {}, options, "0")
    storage.write_bytes(storage.join(folder, entry.name), shard)
    manifests.write_manifest(folder, manifest)


@pytest.fixture
def folder(tmp_path):
    path = str(tmp_path / "my shards/ü")
    storage.make_directory(path)
    return path


def test_an_empty_folder_is_claimed_and_an_unfinished_one_of_the_same_plan_continued(folder):
    assert build_folder.claim(folder, "plan a", ORIGIN) is False
    storage.write_bytes(storage.join(folder, "train-00000-of-00002"), b"")
    assert build_folder.claim(folder, "plan a", ORIGIN) is False


def test_an_unfinished_build_of_another_plan_is_refused(folder):
    build_folder.claim(folder, "plan a", ORIGIN)
    with pytest.raises(RuntimeError, match="holds an unfinished build of other captions, splits or options"):
        build_folder.claim(folder, "plan b", ORIGIN)


def test_a_finished_build_is_recognised_and_one_of_another_plan_refused(folder):
    finish(folder)
    assert build_folder.claim(folder, "plan a", ORIGIN) is True
    with pytest.raises(RuntimeError, match="holds shards of another build"):
        build_folder.claim(folder, "plan b", ORIGIN)


def test_a_finished_build_of_other_photographs_is_refused_even_if_its_shards_are_lost(folder):
    finish(folder)
    os.remove(storage.join(folder, "train-00000-of-00001"))
    before = sorted(os.listdir(folder))
    other = dataclasses.replace(ORIGIN, sha256="cd")
    with pytest.raises(RuntimeError, match="holds shards of other photographs: photographs in /photos were changed"):
        build_folder.claim(folder, "plan a", other)
    assert sorted(os.listdir(folder)) == before


def test_a_list_of_skips_is_written_beside_nothing_else_or_into_an_unfinished_build(folder):
    assert build_folder.may_list_skips(folder)
    storage.write_bytes(storage.join(folder, "skipped.jsonl"), b"{}")
    assert build_folder.may_list_skips(folder)
    assert build_folder.claim(folder, "plan a", ORIGIN) is False
    assert build_folder.may_list_skips(folder)
    finish(folder)
    assert not build_folder.may_list_skips(folder)


@pytest.mark.parametrize("stranger", ["holiday.jpg", "manifest.json"])
def test_a_list_of_skips_is_not_written_into_a_folder_of_something_else(folder, stranger):
    storage.write_bytes(storage.join(folder, stranger), b"")
    assert not build_folder.may_list_skips(folder)


def test_a_folder_of_something_else_is_refused(folder):
    storage.write_bytes(storage.join(folder, "holiday.jpg"), b"")
    with pytest.raises(RuntimeError, match="is not empty: it holds 'holiday.jpg'. Choose another --output_dir"):
        build_folder.claim(folder, "plan a", ORIGIN)
    assert os.listdir(folder) == ["holiday.jpg"]


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_a_finished_build_whose_shards_are_damaged_is_built_again(folder, damage):
    finish(folder)
    shard = storage.join(folder, "train-00000-of-00001")
    if damage == "gone":
        os.remove(shard)
    else:
        storage.write_bytes(shard, b"123")
    assert build_folder.claim(folder, "plan a", ORIGIN) is False
    assert not storage.exists(storage.join(folder, manifests.FILE_NAME))
    assert build_folder.claim(folder, "plan a", ORIGIN) is False


def test_leftovers_of_a_killed_writer_are_removed(folder):
    storage.write_bytes(storage.join(folder, ".tmp-17-0a0b0c0d"), b"half")
    build_folder.claim(folder, "plan a", ORIGIN)
    assert os.listdir(folder) == [build_folder.PLAN_NAME]
    storage.write_bytes(storage.join(folder, ".tmp-17-0a0b0c0d"), b"half")
    build_folder.claim(folder, "plan a", ORIGIN)
    assert os.listdir(folder) == [build_folder.PLAN_NAME]


def test_a_remote_folder_is_claimed_and_recognised():
    folder = f"memory://{uuid.uuid4()}/shards"
    assert build_folder.claim(folder, "plan a", ORIGIN) is False
    assert build_folder.claim(folder, "plan a", ORIGIN) is False
    build_folder.release(folder)
    finish(folder)
    assert build_folder.claim(folder, "plan a", ORIGIN) is True


def test_a_remote_folder_that_is_not_there_before_its_first_file_counts_as_empty():
    assert build_folder.claim(f"memory://{uuid.uuid4()}/shards", "plan a", ORIGIN) is False
