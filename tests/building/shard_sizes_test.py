import pytest

from data_prep.building.shard_plan import PlannedImage, ShardOptions
from data_prep.building.shard_sizes import choose_shard_counts, expected_bytes


@pytest.fixture
def images(tmp_path):
    """Ten train photographs of 2 MB and two of val, with two captions each."""
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(2_000_000)
    return [
        PlannedImage(i, f"{i}.jpg", str(path), "train" if i < 10 else "val", ("a", "b"), ("a", "b")) for i in range(12)
    ]


def test_photographs_count_once_per_image_or_once_per_caption(images):
    sizes = expected_bytes(images, "image")
    assert sizes["train"] == pytest.approx(20_000_000, rel=0.001)
    assert sizes["val"] == pytest.approx(4_000_000, rel=0.001)
    assert expected_bytes(images, "pair")["train"] == pytest.approx(40_000_000, rel=0.001)


def test_missing_photographs_count_nothing(tmp_path):
    image = PlannedImage(1, "1.jpg", str(tmp_path / "gone.jpg"), "train", ("a",), ("a",))
    assert expected_bytes([image], "image")["train"] < 1000


def test_shards_get_the_wanted_size_unless_their_number_is_given(images):
    sizes = expected_bytes(images, "image")
    assert choose_shard_counts(images, sizes, ShardOptions(shard_megabytes=5)) == {"train": 5, "val": 1}
    assert choose_shard_counts(images, sizes, ShardOptions(train_shards=9)) == {"train": 9, "val": 1}


def test_there_are_no_more_shards_than_examples_by_default(images):
    sizes = expected_bytes(images, "image")
    assert choose_shard_counts(images, sizes, ShardOptions(shard_megabytes=1)) == {"train": 10, "val": 2}
