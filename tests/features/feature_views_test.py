"""Several views of each photograph in feature shards: what they are, and which one training sees."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import write_dataset

from data_prep.checking.folder_checks import check_folder
from data_prep.features.feature_shards import cache_features
from im2txt.configuration import EncoderConfig, InputConfig
from im2txt.images.preprocessing import prepare_distorted_image, prepare_image
from im2txt.model.image_encoder import ImageEncoder
from im2txt.shards.data_layout import DataLayout
from im2txt.shards.input_pipeline import evaluation_batches, training_batches
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import take_apart

CONFIG = EncoderConfig(backbone="SmallCNN", weights="none", image_size=16, crop_fraction=0.6)
NUM_VIEWS, F = 3, 128


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "shards", {"train": 6, "val": 2}, (3, 1), shards_per_split=2)


def cached(pictures, folder, num_views, seed=1):
    cache_features(pictures.data_dir, str(folder), CONFIG, 4, seed, num_views=num_views)
    return ShardFolder.open(str(folder))


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    return cached(pictures, tmp_path_factory.mktemp("features") / "views", NUM_VIEWS)


def stored(folder, split):
    """The views of each photograph [views, F] as the records hold them, and its file."""
    return {
        example.image_id: example.features.reshape(-1, F) if example.features is not None else example.encoded_image
        for path in folder.shard_paths(split)
        for example in (take_apart(r.numpy(), "image") for r in tf.data.TFRecordDataset(path))
    }


def test_the_first_view_is_the_plain_one_and_the_others_are_distorted_by_seed_and_photograph(pictures, folder):
    keras.utils.set_random_seed(1)
    encoder = ImageEncoder(CONFIG)
    photographs, views = stored(ShardFolder.open(pictures.data_dir), "train"), stored(folder, "train")
    assert set(views) == set(photographs)
    for image_id, encoded in photographs.items():
        images = [prepare_image(tf.constant(encoded), encoder.image_format)]
        for view in range(1, NUM_VIEWS):
            seed = tf.random.fold_in(tf.constant([1, view], tf.int64), tf.constant(image_id, tf.int64))
            images.append(prepare_distorted_image(tf.constant(encoded), encoder.image_format, seed))
        np.testing.assert_allclose(views[image_id], encoder(tf.stack(images)), rtol=1e-4, atol=1e-4)
    distinct = {row.tobytes() for of_photograph in views.values() for row in of_photograph}
    assert len(distinct) == len(photographs) * NUM_VIEWS


def test_only_the_split_that_is_trained_on_has_several(folder):
    assert {views.shape for views in stored(folder, "val").values()} == {(1, F)}
    assert check_folder(folder.path, decode_images=False, num_readers=1).faults == ()


def test_a_view_does_not_depend_on_how_many_there_are_but_on_the_seed(pictures, folder, tmp_path):
    fewer, views = stored(cached(pictures, tmp_path / "two", 2), "train"), stored(folder, "train")
    for image_id, of_photograph in fewer.items():
        np.testing.assert_allclose(of_photograph, views[image_id][:2], rtol=1e-5, atol=1e-5)
    entry = folder.manifest.encoder
    assert (entry.num_views, entry.views_split, entry.views_seed) == (NUM_VIEWS, "train", 1)
    with pytest.raises(ValueError, match="differ in num_views"):
        cached(pictures, folder.path, 2)


def config(**fields):
    settings = {"batch_size": 2, "bucketing_batches": 3, "shuffle_buffer_examples": 7} | fields
    return InputConfig(**settings)


def seen(folder, batches):
    """(photograph, its view) of each row."""
    views = stored(folder, "train")
    for batch in batches:
        for image_id, row in zip(batch["image_id"], batch["features"], strict=True):
            (view,) = np.flatnonzero((views[image_id] == row).all(axis=1))
            yield int(image_id), int(view)


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_each_epoch_draws_one_view_of_a_photograph_for_all_its_captions(folder):
    epochs = 20
    rows = list(seen(folder, take(training_batches(folder, config(bucketing_batches=1), None, seed=5), epochs * 6)))
    drawn = collections.Counter()
    for epoch in range(epochs):  # 12 examples each.
        of_epoch = set(rows[epoch * 12 : (epoch + 1) * 12])
        assert sorted(image_id for image_id, _ in of_epoch) == list(range(6))
        drawn.update(view for _, view in of_epoch)
    assert min(drawn[view] for view in range(NUM_VIEWS)) > 20  # Of 120, 40 each on average.
    other = set(seen(folder, take(training_batches(folder, config(bucketing_batches=1), None, seed=6), 6)))
    assert other != set(rows[:12])


def test_the_views_are_the_same_after_a_resume(folder):
    whole = take(training_batches(folder, config(), None, seed=5), 12)
    resumed = take(training_batches(folder, config(), None, seed=5, first_step=7), 5)
    for after, before in zip(resumed, whole[7:], strict=True):
        np.testing.assert_array_equal(after["image_id"], before["image_id"])
        np.testing.assert_array_equal(after["features"], before["features"])


def test_workers_see_the_views_that_one_would(folder):
    settings = config(batch_size=4, bucketing_batches=1)
    layouts = [DataLayout(), DataLayout(2, 2, 0), DataLayout(2, 2, 1)]
    one, *two = (set(seen(folder, take(training_batches(folder, settings, None, 5, 0, of), 3))) for of in layouts)
    assert len(one) == 6
    assert two[0] | two[1] == one


def test_whoever_does_not_train_sees_the_plain_view(folder):
    rows = list(seen(folder, take(evaluation_batches(folder, "train", None, 4), 2)))
    assert sorted(rows) == [(image_id, 0) for image_id in range(6)]


def test_views_of_no_split_are_refused(pictures, tmp_path):
    with pytest.raises(ValueError, match="Split 'training' is not in the manifest"):
        cache_features(pictures.data_dir, str(tmp_path), CONFIG, 4, 1, num_views=2, views_split="training")
