"""Tests of the order, the completeness and the content of batches."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from fakes import jpeg, write_dataset

from im2txt.configuration import InputConfig
from im2txt.images import preprocessing
from im2txt.images.preprocessing import ImageFormat
from im2txt.shards.data_layout import DataLayout
from im2txt.shards.example_sequence import examples_per_epoch
from im2txt.shards.input_pipeline import (
    evaluation_batches,
    training_batches,
)
from im2txt.shards.long_captions import long_captions_named
from im2txt.shards.shard_folder import ShardFolder


def config(dataset, **fields):
    defaults = {"batch_size": 4, "captions_per_image": 1, "shuffle_buffer_examples": 7, "bucketing_batches": 3}
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
    settings = config(dataset, captions_per_image=captions_per_image, bucketing_batches=1, batch_size=batch_size)
    lcm = np.lcm(epoch_size, batch_size)
    batches = take(training_batches(folder_of(dataset), settings, None, seed=3), lcm // batch_size)
    seen = Counter(c for batch in batches for c in captions_in(batch, captions_per_image))
    epochs = lcm // epoch_size
    assert seen == Counter({c: n * epochs for c, n in expected_captions(dataset).items()})


def test_grids_come_whole_and_as_float32(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 8}, (2,), feature_size=(3, 4))
    folder, settings = folder_of(dataset), config(dataset, captions_per_image=2)
    for batches in (
        training_batches(folder, settings, None, seed=3),
        evaluation_batches(folder, "train", None, 2),
    ):
        assert batches.element_spec["features"].dtype == tf.float32
        assert batches.element_spec["features"].shape[1:] == (3, 4)
        for batch in batches.take(3).as_numpy_iterator():
            expected = np.broadcast_to(batch["image_id"][:, None, None], (len(batch["image_id"]), 3, 4))
            np.testing.assert_array_equal(batch["features"], expected)


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
    whole = take(training_batches(folder_of(dataset), settings, None, seed=5), 30)
    for start in (1, 2, 3, 7, 12, 23):
        resumed = take(
            training_batches(folder_of(dataset), settings, None, seed=5, first_step=start),
            5,
        )
        for expected, actual in zip(whole[start:], resumed, strict=False):
            for name in expected:
                np.testing.assert_array_equal(actual[name], expected[name])


def test_epochs_and_seeds_differ_in_order(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 12}, (1,), feature_size=2)
    settings = config(dataset, bucketing_batches=1)

    def order(seed):
        batches = take(training_batches(folder_of(dataset), settings, None, seed=seed), 6)
        return [int(i) for batch in batches for i in batch["image_id"]]

    first = order(1)
    assert first[:12] != first[12:]
    assert first != order(2)
    assert sorted(first[:12]) == sorted(first[12:]) == list(range(12))


def test_loading_as_it_goes_shuffles_each_epoch_stores_ids_alone_and_has_several_photographs_a_batch(tmp_path):
    # What the Keras tutorial on progressive loading leaves as exercises: it reads one photograph a batch, in the same
    # order every epoch, and makes each word a row as long as the vocabulary.
    dataset = write_dataset(tmp_path, {"train": 8}, (2,))
    settings = config(dataset, captions_per_image=2, batch_size=4, bucketing_batches=1, distort_images=False)
    stream = training_batches(folder_of(dataset), settings, ImageFormat(16, 1.0), seed=3)
    epochs = [take(stream, 6)[first : first + 2] for first in (0, 2, 4)]
    orders = [[int(i) for batch in epoch for i in batch["image_id"]] for epoch in epochs]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(8)) for order in orders)
    for batch in epochs[0]:
        assert batch["images"].shape == (4, 16, 16, 3)
        num_steps = batch["mask"].shape[1]
        for name in ("input_ids", "target_ids"):  # 4 bytes a word, where a row of the vocabulary has 4 * V.
            assert (batch[name].dtype, batch[name].shape) == (np.int32, (8, num_steps))


def test_bucketing_pads_less(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 16}, (4,), feature_size=2)

    def padding(bucketing_batches):
        settings = config(dataset, bucketing_batches=bucketing_batches, shuffle_buffer_examples=64)
        batches = take(training_batches(folder_of(dataset), settings, None, seed=1), 16)
        return sum(int((~batch["mask"]).sum()) for batch in batches)

    # One window over the whole epoch of 64 captions of 4 lengths, 16 each: batches of 4 are all of one length.
    assert padding(16) == 0
    assert padding(1) > 10


def test_photographs_are_prepared_like_the_eager_ones(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 3, "val": 4}, (2,), shards_per_split=2)
    image_format = ImageFormat(16, 0.8)
    batches = take(evaluation_batches(folder_of(dataset), "val", image_format, 3), 9)
    assert [len(batch["image_id"]) for batch in batches] == [3, 1]
    for batch in batches:
        for image_id, image in zip(batch["image_id"], batch["images"], strict=True):
            np.testing.assert_allclose(image, preprocessing.prepare_image(jpeg(int(image_id)), image_format), atol=1e-6)


def test_distortions_repeat_after_a_resume(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 6}, (1,))
    settings = config(dataset, bucketing_batches=2, batch_size=2)
    image_format = ImageFormat(16, 0.8)
    whole = take(training_batches(folder_of(dataset), settings, image_format, seed=1), 6)
    resumed = take(
        training_batches(folder_of(dataset), settings, image_format, seed=1, first_step=3),
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
        training_batches(folder_of(dataset), config(dataset, captions_per_image=5), None, seed=1)


def test_features_are_refused_where_photographs_are_wanted(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 3}, feature_size=2)
    with pytest.raises(ValueError, match="holds features"):
        training_batches(folder_of(dataset), config(dataset), ImageFormat(16, 1.0), seed=1)


def rows_of(batch):
    """The batch's examples, without padding."""
    for row, image_id in enumerate(batch["image_id"]):
        mask = batch["mask"][row]
        yield int(image_id), tuple(batch["input_ids"][row, mask]), tuple(batch["target_ids"][row, mask])


@pytest.mark.parametrize("replicas", [2, 4])
def test_a_global_batch_does_not_depend_on_the_replicas_of_one_process(tmp_path, replicas):
    dataset = write_dataset(tmp_path, {"train": 9}, (5, 2), feature_size=2)
    folder, settings = folder_of(dataset), config(dataset, batch_size=8)
    whole = take(training_batches(folder, settings, None, seed=5), 24)
    for first in (0, 7):
        stream = training_batches(folder, settings, None, seed=5, first_step=first, layout=DataLayout(replicas))
        parts = take(stream, (24 - first) * replicas)
        assert all(len(part["image_id"]) == 8 // replicas for part in parts)
        for k, batch in enumerate(whole[first:]):
            together = [row for part in parts[k * replicas : (k + 1) * replicas] for row in rows_of(part)]
            assert together == list(rows_of(batch))


def test_distortions_do_not_depend_on_the_replicas_of_one_process(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 6}, (2,))
    folder, settings, image_format = folder_of(dataset), config(dataset), ImageFormat(16, 0.8)
    whole = take(training_batches(folder, settings, image_format, seed=1, first_step=2), 2)
    parts = take(training_batches(folder, settings, image_format, seed=1, first_step=2, layout=DataLayout(2)), 4)
    for name in ("images", "image_id"):
        actual = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(actual, np.concatenate([batch[name] for batch in whole]))


@pytest.mark.parametrize(("num_workers", "num_shards"), [(2, 5), (3, 7), (3, 1), (4, 2)])
def test_over_all_workers_every_example_comes_exactly_once_an_epoch(tmp_path, num_workers, num_shards):
    dataset = write_dataset(tmp_path, {"train": 10}, (5, 3, 1), feature_size=4, shards_per_split=num_shards)
    epoch_size = examples_per_epoch(dataset.manifest, "train", 1)
    settings = config(dataset, bucketing_batches=1, batch_size=num_workers, shuffle_buffer_examples=3)
    layouts = [DataLayout(num_workers, num_workers, worker) for worker in range(num_workers)]
    streams = [training_batches(folder_of(dataset), settings, None, seed=3, layout=layout) for layout in layouts]
    # Batches of one example: after so many epochs, every worker has given the same number.
    taken = [take(stream, epoch_size) for stream in streams]
    seen = Counter(c for batches in taken for batch in batches for c in captions_in(batch))
    assert seen == Counter({c: n * num_workers for c, n in expected_captions(dataset).items()})
    # And no earlier than one step into the next epoch does anything come twice.
    steps = epoch_size // num_workers
    seen = Counter(c for batches in taken for batch in batches[:steps] for c in captions_in(batch))
    assert all(n <= expected_captions(dataset)[c] for c, n in seen.items())


def test_a_worker_goes_on_at_any_step_as_if_it_had_not_stopped(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 7}, (5, 2), feature_size=2, shards_per_split=2)
    settings, layout = config(dataset, batch_size=8), DataLayout(4, 2, 1)
    whole = take(training_batches(folder_of(dataset), settings, None, seed=5, layout=layout), 40)
    for step in (1, 5, 17):
        stream = training_batches(folder_of(dataset), settings, None, seed=5, first_step=step, layout=layout)
        for expected, actual in zip(whole[2 * step :], take(stream, 6), strict=False):
            for name in expected:
                np.testing.assert_array_equal(actual[name], expected[name])


def test_fewer_examples_than_workers_are_refused(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 2}, (1,), feature_size=2)
    with pytest.raises(ValueError, match=r"holds 2 examples, too few for 3 worker\(s\)"):
        training_batches(folder_of(dataset), config(dataset, batch_size=3), None, seed=1, layout=DataLayout(3, 3, 0))


@pytest.mark.parametrize(("replicas", "workers"), [(1, 1), (2, 1), (2, 2), (4, 2), (3, 3)])
@pytest.mark.parametrize("photographs", [False, True])
def test_evaluation_gives_each_caption_once_and_all_replicas_as_many_batches(tmp_path, replicas, workers, photographs):
    dataset = write_dataset(tmp_path, {"val": 7}, (5, 3, 1), feature_size=None if photographs else 4)
    image_format = ImageFormat(16, 0.8) if photographs else None
    taken = [
        take(evaluation_batches(folder_of(dataset), "val", image_format, 2, DataLayout(replicas, workers, w)), 99)
        for w in range(workers)
    ]
    assert len({len(batches) for batches in taken}) == 1
    assert len(taken[0]) % (replicas // workers) == 0
    seen = Counter(c for batches in taken for batch in batches for c in captions_in(batch, 5))
    assert seen == expected_captions(dataset, "val")


def test_padded_captions_keep_one_shape_and_mask_what_is_added(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 9}, (5, 2), feature_size=2)
    plain = take(training_batches(folder_of(dataset), config(dataset), None, seed=5), 8)
    padded = training_batches(folder_of(dataset), config(dataset, padded_caption_length=9), None, seed=5)
    assert padded.element_spec["input_ids"].shape == (4, 8)
    assert padded.element_spec["features"].shape == (4, 2)
    for expected, actual in zip(plain, take(padded, 8), strict=True):
        assert list(rows_of(actual)) == list(rows_of(expected))
    too_short = training_batches(folder_of(dataset), config(dataset, padded_caption_length=4), None, seed=5)
    with pytest.raises(ValueError, match=r"input\.padded_caption_length=4: .*at least") as told, long_captions_named(4):
        take(too_short, 4)
    image_id, length = map(int, re.findall(r"photograph (\d+) has a caption of (\d+) ids", str(told.value))[0])
    assert length > 4
    assert length in map(len, dataset.caption_ids["train"][image_id])


@pytest.mark.parametrize("changed", ["shards", "buffer", "batches"])
def test_each_of_the_three_shuffles_follows_seed_and_epoch(tmp_path, changed):
    shards, buffer, batches = (changed == name for name in ("shards", "buffer", "batches"))
    dataset = write_dataset(tmp_path, {"train": 24}, (1,), feature_size=2, shards_per_split=12 if shards else 1)
    settings = config(dataset, shuffle_buffer_examples=24 if buffer else 1, bucketing_batches=6 if batches else 1)

    def epochs(seed):
        taken = take(training_batches(folder_of(dataset), settings, None, seed=seed), 12)
        order = [int(i) for batch in taken for i in batch["image_id"]]
        return [tuple(order[:24]), tuple(order[24:])]

    assert len({*epochs(1), *epochs(2)}) == 4
