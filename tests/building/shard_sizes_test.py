import pytest

from data_prep.building.shard_plan import PlannedImage, ShardOptions
from data_prep.building.shard_sizes import choose_shard_counts, expected_bytes
from im2txt.system.storage import FileState


@pytest.fixture
def images():
    """Ten train photographs of 1 to 3 MB, 2 MB on average, and two of val, with two captions each."""
    return [
        PlannedImage(
            image_id=i,
            file_name=f"{i}.jpg",
            path=f"/nowhere/{i}.jpg",
            file=FileState(1_000_000 if i % 2 else 3_000_000, ""),
            split="train" if i < 10 else "val",
            captions=("a", "b"),
            tokenized_captions=("a", "b"),
        )
        for i in range(12)
    ]


def test_photographs_count_once_per_image_or_once_per_caption(images):
    sizes = expected_bytes(images, "image")
    assert sizes["train"] == pytest.approx(20_000_000, rel=0.001)
    assert sizes["val"] == pytest.approx(4_000_000, rel=0.001)
    assert expected_bytes(images, "pair")["train"] == pytest.approx(40_000_000, rel=0.001)


def test_shards_get_the_wanted_size_unless_their_number_is_given(images):
    sizes = expected_bytes(images, "image")
    assert choose_shard_counts(images, sizes, ShardOptions(shard_megabytes=5)) == {"train": 5, "val": 1}
    assert choose_shard_counts(images, sizes, ShardOptions(train_shards=9)) == {"train": 9, "val": 1}


def test_there_are_no_more_shards_than_examples_by_default(images):
    sizes = expected_bytes(images, "image")
    assert choose_shard_counts(images, sizes, ShardOptions(shard_megabytes=1)) == {"train": 10, "val": 2}
