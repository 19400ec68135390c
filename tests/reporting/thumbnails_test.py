"""Small photographs, in the page or beside it."""

import base64
import io
import json
import pathlib

import fake_shards
import numpy as np
import pytest
from PIL import Image

from im2txt.reporting import thumbnails
from im2txt.shards.shard_folder import ShardFolder


def png(size: tuple[int, int], colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, colour).save(file, "PNG")
    return file.getvalue()


def test_large_photographs_are_made_small_and_small_ones_stay():
    large = thumbnails.make_thumbnail(png((1500, 1000), 200))
    picture = Image.open(io.BytesIO(large.jpeg))
    assert (picture.format, picture.mode, picture.size, large.width) == ("JPEG", "RGB", (320, 213), 1500)
    assert abs(np.asarray(picture, float).mean() - 200) < 2
    assert Image.open(io.BytesIO(thumbnails.make_thumbnail(png((40, 30), 9)).jpeg)).size == (40, 30)


@pytest.mark.parametrize("layout", ["image", "pair"])
def test_the_wanted_photographs_are_read_from_all_shards(tmp_path: pathlib.Path, layout: str):
    fake_shards.write_folder(tmp_path, layout=layout)
    found = thumbnails.read_thumbnails(ShardFolder.open(str(tmp_path)), "test", [31, 33, 99])
    assert sorted(found) == [31, 33]
    for image_id, thumbnail in found.items():
        expected = np.asarray(Image.open(io.BytesIO(fake_shards.jpeg(image_id))), float)
        assert np.abs(np.asarray(Image.open(io.BytesIO(thumbnail.jpeg)), float) - expected).mean() < 25


def test_feature_shards_borrow_the_photographs_of_their_image_shards(tmp_path: pathlib.Path):
    fake_shards.write_folder(tmp_path / "shards")
    ids = [photo.image_id for photos in fake_shards.SPLITS.values() for photo in photos]
    fake_shards.write_folder(tmp_path / "features", features={i: np.zeros(4, np.float32) for i in ids})
    manifest = tmp_path / "features" / "manifest.json"
    fields = json.loads(manifest.read_text())
    fields["encoder"]["source_dir"] = str(tmp_path / "shards")
    manifest.write_text(json.dumps(fields))
    assert sorted(thumbnails.read_thumbnails(ShardFolder.open(str(tmp_path / "features")), "test", ids)) == [31, 32, 33]


def test_a_photograph_that_does_not_decode_is_left_out(tmp_path: pathlib.Path):
    splits = {"test": [fake_shards.Photo(1, b"none", ("a dog",)), fake_shards.Photo(2, png((4, 4), 1), ("a cat",))]}
    fake_shards.write_folder(tmp_path, splits)
    assert list(thumbnails.read_thumbnails(ShardFolder.open(str(tmp_path)), "test", [1, 2])) == [2]


def test_a_damaged_shard_is_named(tmp_path: pathlib.Path):
    fake_shards.write_folder(tmp_path, num_shards=1)
    shard = tmp_path / "test-00000-of-00001"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"A shard of test in .* is damaged: .*verify_data"):
        thumbnails.read_thumbnails(ShardFolder.open(str(tmp_path)), "test", [31])


def test_up_to_the_limit_thumbnails_are_in_the_page_beyond_it_beside_it(tmp_path: pathlib.Path):
    small = {7: thumbnails.Thumbnail(b"12345", 10), 8: thumbnails.Thumbnail(b"678", 10)}
    page = str(tmp_path / "my page.html")
    addresses, folder = thumbnails.place(small, page, most_bytes=8)
    assert folder == ""
    assert addresses[7] == f"data:image/jpeg;base64,{base64.b64encode(b'12345').decode()}"
    assert list(tmp_path.iterdir()) == []
    addresses, folder = thumbnails.place(small, page, most_bytes=7)
    assert (folder, addresses) == ("my page_files", {7: "my%20page_files/7.jpg", 8: "my%20page_files/8.jpg"})
    assert (tmp_path / "my page_files" / "8.jpg").read_bytes() == b"678"
