import dataclasses
import json

import pytest

from data_prep.building.origin import FILE_NAME, Origin
from data_prep.building.shard_plan import PlannedImage
from data_prep.sources.flickr30k import Flickr30k
from im2txt.system.storage import FileState


def image(path, size=5, version="1"):
    return PlannedImage(1, path, path, FileState(size, version), "train", ("a",), ("a",))


def origin(*images):
    return Origin.of(Flickr30k("captions.token", "photos"), images)


def test_the_file_tells_source_folder_number_and_size(tmp_path):
    origin(image("/data/train/a.jpg", 5), image("/data/val/b.jpg", 7)).write(str(tmp_path))
    content = json.loads((tmp_path / FILE_NAME).read_text())
    assert len(content.pop("sha256")) == 64
    assert content == {
        "kind": "Flickr30k",
        "flags": {"captions_file": "captions.token", "images_dir": "photos"},
        "folder": "/data",
        "photographs": 2,
        "bytes": 12,
    }


def test_the_same_photographs_do_not_differ(tmp_path):
    origin(image("/d/a.jpg")).write(str(tmp_path))
    assert origin(image("/d/a.jpg")).difference(str(tmp_path)) is None
    assert origin(image("/d/../d/a.jpg")).difference(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (image("/e/a.jpg"), "it was built from the photographs in /d, and these are in /e"),
        (image("/d/a.jpg", size=6), "built from 1 photographs of 5 bytes in /d, and now there are 1 of 6 bytes"),
        (image("/d/a.jpg", version="2"), "photographs in /d were changed since it was built from them"),
        (image("/d/b.jpg"), "photographs in /d were changed since it was built from them"),
    ],
)
def test_a_difference_is_told(tmp_path, changed, difference):
    origin(image("/d/a.jpg")).write(str(tmp_path))
    assert difference in origin(changed).difference(str(tmp_path))


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"kind": "Flickr30k", "new": 1}'])
def test_a_lost_or_damaged_file_is_a_difference(tmp_path, content):
    if content is not None:
        (tmp_path / FILE_NAME).write_text(content)
    assert f"{tmp_path}/{FILE_NAME}, which tells" in origin(image("/d/a.jpg")).difference(str(tmp_path))


def test_local_and_remote_photographs_may_stand_side_by_side():
    assert origin(image("/d/a.jpg"), image("gs://b/a.jpg")).folder == "several folders"
    assert origin(image("gs://b/a.jpg"), image("gs://b/c/a.jpg")).folder == "gs://b"


def test_a_source_that_is_no_dataclass_has_no_flags():
    class Made:
        def read(self):
            return iter(())

    assert dataclasses.asdict(Origin.of(Made(), [image("/d/a.jpg")]))["flags"] == {}
