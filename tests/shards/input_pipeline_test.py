"""Tests of the order, the completeness and the content of batches."""

import itertools
from collections import Counter

import numpy as np
import pytest
from fakes import jpeg, write_dataset

from im2txt.configuration import InputConfig
from im2txt.images import preprocessing
from im2txt.images.preprocessing import ImageFormat
from im2txt.shards.input_pipeline import (
    evaluation_batches,
    examples_per_epoch,
    photograph_batches,
    training_batches,
)
from im2txt.shards.shard_folder import ShardFolder


def config(dataset, **fields):
    defaults = {"captions_per_image": 1, "shuffle_buffer_examples": 7, "bucketing_batches": 3}
    return InputConfig(data_dir=dataset.data_dir, **(defaults | fields))


def folder_of(dataset):
    return ShardFolder(dataset.data_dir, dataset.manifest)


def take(dataset, count):
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, count)]


def captions_in(batch, captions_per_image=1):
    """(image id, ids) of every real caption, rebuilt from input and target."""
    for row in range(len(batch["mask"])):
        length = int(batch["mask"][row].sum())
        if length:
            ids = (*batch["input_ids"][row, :length], batch["target_ids"][row, length - 1])
            yield int(batch["image_id"][row // captions_per_image]), tuple(int(i) for i in ids)


def expected_captions(dataset, split="train"):
    return Counter((i, tuple(ids)) for i, captions in dataset.caption_ids[split].items() for ids in captions)


@pytest.mark.parametrize(
    ("layout", "captions_per_image", "batch_size"), [("image", 1, 5), ("image", 2, 3), ("image", 5, 2), ("pair", 1, 5)]
)
def test_every_caption_comes_exactly_once_an_epoch(tmp_path, layout, captions_per_image, batch_size):
    dataset = write_dataset(tmp_path, {"train": 10}, (5, 3, 1), layout=layout, feature_size=4)
    epoch_size = examples_per_epoch(dataset.manifest, "train", captions_per_image)
    settings = config(dataset, captions_per_image=captions_per_image, bucketing_batches=1)
    lcm = np.lcm(epoch_size, batch_size)
    batches = take(
        training_batches(folder_of(dataset), settings, None, batch_size, seed=3),
        lcm // batch_size,
    )
    seen = Counter(c for batch in batches for c in captions_in(batch, captions_per_image))
    epochs = lcm // epoch_size
    assert seen == Counter({c: n * epochs for c, n in expected_captions(dataset).items()})


def test_batches_hold_the_written_out_rows(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 2}, (2,), feature_size=3, shards_per_split=1)
    batch = take(evaluation_batches(folder_of(dataset), "train", None, 2), 1)[0]
    # Ids: a 0, <S> 1, </S> 2, cat 3, dog 4, red 5. Image 0: "a", "a cat"; image 1: "cat cat", "cat dog red".
    np.testing.assert_array_equal(batch["input_ids"], [[1, 0, 0, 0], [1, 0, 3, 0], [1, 3, 3, 0], [1, 3, 4, 5]])
    np.testing.assert_array_equal(batch["target_ids"], [[0, 2, 0, 0], [0, 3, 2, 0], [3, 3, 2, 0], [3, 4, 5, 2]])
    np.testing.assert_array_equal(batch["mask"].sum(axis=1), [2, 3, 3, 4])
    np.testing.assert_array_equal(batch["features"], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(batch["image_id"], [0, 1])
    assert list(captions_in(batch, 2)) == [(i, tuple(ids)) for i in (0, 1) for ids in dataset.caption_ids["train"][i]]


def test_stream_is_a_function_of_seed_and_position(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 9}, (5, 2), feature_size=2)
    settings = config(dataset)
    whole = take(training_batches(folder_of(dataset), settings, None, 4, seed=5), 30)
    for start in (1, 2, 3, 7, 12, 23):
        resumed = take(
            training_batches(folder_of(dataset), settings, None, 4, seed=5, first_batch=start),
            5,
        )
        for expected, actual in zip(whole[start:], resumed, strict=False):
            for name in expected:
                np.testing.assert_array_equal(actual[name], expected[name])


def test_epochs_and_seeds_differ_in_order(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 12}, (1,), feature_size=2)
    settings = config(dataset, bucketing_batches=1)

    def order(seed):
        batches = take(training_batches(folder_of(dataset), settings, None, 4, seed=seed), 6)
        return [int(i) for batch in batches for i in batch["image_id"]]

    first = order(1)
    assert first[:12] != first[12:]
    assert first != order(2)
    assert sorted(first[:12]) == sorted(first[12:]) == list(range(12))


def test_bucketing_pads_less(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 16}, (4,), feature_size=2)

    def padding(bucketing_batches):
        settings = config(dataset, bucketing_batches=bucketing_batches, shuffle_buffer_examples=64)
        batches = take(training_batches(folder_of(dataset), settings, None, 4, seed=1), 16)
        return sum(int((~batch["mask"]).sum()) for batch in batches)

    # One window over the whole epoch of 64 captions of 4 lengths, 16 each: batches of 4 are all of one length.
    assert padding(16) == 0
    assert padding(1) > 10


def test_photographs_are_prepared_like_the_eager_ones(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 3, "val": 4}, (2,), shards_per_split=2)
    image_format = ImageFormat(16, 0.8)
    batches = take(photograph_batches(folder_of(dataset), "val", image_format, 3), 9)
    assert [len(batch["image_id"]) for batch in batches] == [3, 1]
    for batch in batches:
        for image_id, image in zip(batch["image_id"], batch["images"], strict=True):
            np.testing.assert_allclose(image, preprocessing.prepare_image(jpeg(int(image_id)), image_format), atol=1e-6)


def test_distortions_repeat_after_a_resume(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 6}, (1,))
    settings = config(dataset, bucketing_batches=2)
    image_format = ImageFormat(16, 0.8)
    whole = take(training_batches(folder_of(dataset), settings, image_format, 2, seed=1), 6)
    resumed = take(
        training_batches(folder_of(dataset), settings, image_format, 2, seed=1, first_batch=3),
        3,
    )
    for expected, actual in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(actual["images"], expected["images"])
    same_photograph = [batch["images"][list(batch["image_id"]).index(0)] for batch in whole if 0 in batch["image_id"]]
    assert len(same_photograph) == 2
    assert np.abs(same_photograph[0] - same_photograph[1]).max() > 0.01


def test_pair_layout_refuses_several_captions_per_image(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 3}, layout="pair", feature_size=2)
    with pytest.raises(ValueError, match="layout 'pair'.*--layout=image"):
        training_batches(folder_of(dataset), config(dataset, captions_per_image=5), None, 2, seed=1)


def test_features_are_refused_where_photographs_are_wanted(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 3}, feature_size=2)
    with pytest.raises(ValueError, match="holds features"):
        training_batches(folder_of(dataset), config(dataset), ImageFormat(16, 1.0), 2, seed=1)
