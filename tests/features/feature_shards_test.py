"""Tests of cached features: equal to the encoder's own, resumable, and tied to their encoder and photographs."""

import dataclasses
import io
import json
import os
import shutil

import google_crc32c
import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import write_dataset
from PIL import Image

from data_prep.features import feature_writer
from data_prep.features.feature_shards import cache_features
from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.shards import manifest, records
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system.folder_lock import folder_lock

CONFIG = EncoderConfig(backbone="SmallCNN", weights="none", image_size=16, crop_fraction=0.8)
SPLITS = {"train": 5, "val": 1}  # In two shards each: one of `val` is empty.


@pytest.fixture(scope="module", params=["image", "pair"])
def photographs(request, tmp_path_factory):
    """Shards of photographs in both layouts."""
    folder = tmp_path_factory.mktemp("data") / request.param
    return write_dataset(folder, SPLITS, (3, 1), layout=request.param, shards_per_split=2)


@pytest.fixture(scope="module")
def features(photographs, tmp_path_factory):
    """The folder of their features, and its manifest."""
    folder = tmp_path_factory.mktemp("features")
    return folder, cache(photographs, folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Shards of photographs in layout `image`, where one layout is enough."""
    return write_dataset(tmp_path_factory.mktemp("data") / "shards", SPLITS, (3, 1), shards_per_split=2)


@pytest.fixture(scope="module")
def of_pictures(pictures, tmp_path_factory):
    """The folder of their features; copied by tests that change it."""
    folder = tmp_path_factory.mktemp("features")
    cache(pictures, folder)
    return folder


def cache(dataset, output_dir, config=CONFIG, batch_size=2, seed=1):
    return cache_features(dataset.data_dir, str(output_dir), config, batch_size, seed)


def examples(folder, split, entry):
    """(name, records) of every shard of a split, read by TensorFlow itself."""
    for shard in entry.splits[split].shards:
        path = f"{folder}/{shard.name}"
        yield shard.name, [r.numpy() for r in tf.data.TFRecordDataset(path)]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def encoded_by_hand(encoder, example):
    """Decode and resize by Pillow's and TensorFlow's own means, keep the centre, encode one by one."""
    (encoded,) = tf.train.SequenceExample.FromString(example).context.feature[records.IMAGE_DATA].bytes_list.value
    image = tf.image.resize(tf.io.decode_jpeg(encoded), [20, 20]) / 255
    return encoder(image[None, 2:18, 2:18])[0].numpy()


def initial_encoder():
    keras.utils.set_random_seed(1)
    return ImageEncoder(CONFIG)


def test_features_are_the_encoder_s_of_each_photograph(photographs, features):
    folder, result = features
    encoder = initial_encoder()
    for split in SPLITS:
        sources = examples(photographs.data_dir, split, photographs.manifest)
        for (_, source), (_, written) in zip(sources, examples(folder, split, result), strict=True):
            for before, after in zip(source, written, strict=True):
                context = tf.train.SequenceExample.FromString(after).context
                written_features = context.feature[records.IMAGE_FEATURES].float_list.value
                np.testing.assert_allclose(written_features, encoded_by_hand(encoder, before), rtol=1e-4, atol=1e-5)


def test_grids_are_the_encoder_s_of_each_place_in_half_the_precision(pictures, tmp_path):
    config = dataclasses.replace(CONFIG, pooling="grid", image_size=32)
    result = cache(pictures, tmp_path, config)
    assert (result.encoder.feature_shape, result.encoder.feature_dtype) == ((4, 128), "float16")
    keras.utils.set_random_seed(1)
    flat = ImageEncoder(dataclasses.replace(config, pooling="flatten"))
    (_, source), (_, written) = (
        next(examples(folder, "train", entry))
        for folder, entry in ((pictures.data_dir, pictures.manifest), (tmp_path, result))
    )
    for before, after in zip(source, written, strict=True):
        (encoded,) = tf.train.SequenceExample.FromString(before).context.feature[records.IMAGE_DATA].bytes_list.value
        image = tf.image.resize(tf.io.decode_jpeg(encoded), [40, 40]) / 255
        features = records.parse_example(tf.constant(after), "image", (4, 128), "float16")["features"]
        np.testing.assert_allclose(np.ravel(features), flat(image[None, 4:36, 4:36])[0], rtol=2**-10, atol=1e-4)
    with pytest.raises(ValueError, match=r"differ in feature_dtype\. Name another"):
        cache_features(pictures.data_dir, str(tmp_path), config, 2, 1, "float32")


def test_features_beyond_the_type_they_are_stored_in_are_refused(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(ImageEncoder, "__call__", lambda self, images: tf.fill([len(images), 128], 7e4))
    arguments = pictures.data_dir, str(tmp_path), CONFIG, 2, 1
    with pytest.raises(ValueError, match=r"feature of 7e\+04, and float16 ends at 65504.* --feature_dtype=float32"):
        cache_features(*arguments, "float16")
    cache_features(*arguments, "float32")
    monkeypatch.setattr(ImageEncoder, "__call__", lambda self, images: tf.fill([len(images), 128], float("nan")))
    with pytest.raises(ValueError, match="features that are infinite or not a number"):
        cache(pictures, tmp_path / "new")


def test_features_computed_in_bfloat16_are_near_and_of_the_same_encoder(pictures, of_pictures, tmp_path):
    half = cache(pictures, tmp_path, dataclasses.replace(CONFIG, compute_dtype="bfloat16"))
    full = ShardFolder.open(str(of_pictures)).manifest
    assert half.encoder == dataclasses.replace(full.encoder, compute_dtype="bfloat16")
    for split in SPLITS:
        pairs = zip(examples(tmp_path, split, half), examples(of_pictures, split, full), strict=True)
        for (_, near), (_, exact) in pairs:
            for example, expected in zip(near, exact, strict=True):
                values, true = (
                    np.array(
                        tf.train.SequenceExample.FromString(e).context.feature[records.IMAGE_FEATURES].float_list.value
                    )
                    for e in (example, expected)
                )
                assert 0 < np.abs(values - true).max() < 2**-5 * np.abs(true).max()


def test_everything_else_of_an_example_stays(photographs, features):
    folder, result = features
    for split in SPLITS:
        sources = examples(photographs.data_dir, split, photographs.manifest)
        for (name, source), (copied_name, written) in zip(sources, examples(folder, split, result), strict=True):
            assert copied_name == name
            for before, after in zip(source, written, strict=True):
                before, after = map(tf.train.SequenceExample.FromString, (before, after))
                assert sorted(after.context.feature) == [records.IMAGE_FEATURES, records.IMAGE_ID]
                assert after.context.feature[records.IMAGE_ID] == before.context.feature[records.IMAGE_ID]
                assert after.feature_lists == before.feature_lists
    for name in ("word_counts.txt", "captions_train.json", "captions_val.json"):
        with open(f"{photographs.data_dir}/{name}", "rb") as file:
            assert (folder / name).read_bytes() == file.read()


def test_the_manifest_ties_features_photographs_and_encoder_together(pictures, of_pictures):
    result = ShardFolder.open(str(of_pictures)).manifest
    with open(f"{pictures.data_dir}/manifest.json", "rb") as file:
        source_checksum = f"{google_crc32c.value(file.read()):08x}"
    assert result.encoder == manifest.EncoderEntry(
        backbone="SmallCNN",
        weights="none",
        weights_sha256=initial_encoder().fingerprint(),
        image_size=16,
        crop_fraction=0.8,
        pooling="avg",
        feature_shape=(128,),
        source_manifest_crc32c=source_checksum,
        source_dir=pictures.data_dir,
    )
    for split, entry in result.splits.items():
        source = pictures.manifest.splits[split]
        assert dataclasses.replace(entry, shards=source.shards) == source
        for shard, before in zip(entry.shards, source.shards, strict=True):
            written = (of_pictures / shard.name).read_bytes()
            assert (shard.bytes, shard.crc32c) == (len(written), f"{google_crc32c.value(written):08x}")
            assert shard.captions_per_example == before.captions_per_example
    unlike = {"splits": pictures.manifest.splits, "encoder": None}
    assert dataclasses.replace(result, **unlike) == pictures.manifest


def test_the_encoder_lies_beside_its_features(of_pictures):
    encoder = ImageEncoder(CONFIG)
    checkpoints.read_variables(str(of_pictures / run_folder.FEATURE_ENCODER_NAME), encoder.variables)
    assert encoder.fingerprint() == initial_encoder().fingerprint()


class PowerCutError(Exception):
    """Stands for anything that ends a process."""


@pytest.fixture
def encoded_shards(monkeypatch):
    """Names of the shards whose photographs were encoded; a name in `fatal` cuts the power in the middle of it."""
    seen, fatal = [], set()
    records_of = feature_writer.FeatureWriter._records

    def recorded(writer, path, *others):
        name = path.rpartition("/")[2]
        seen.append(name)
        for number, record in enumerate(records_of(writer, path, *others)):
            if number and name in fatal:
                raise PowerCutError
            yield record

    monkeypatch.setattr(feature_writer.FeatureWriter, "_records", recorded)
    return seen, fatal


def interrupt(dataset, folder, fatal):
    """Caches the first shard only."""
    fatal.add("train-00001-of-00002")
    with pytest.raises(PowerCutError):
        cache(dataset, folder)
    fatal.clear()


def test_an_interrupted_run_goes_on_to_the_same_bytes(photographs, features, tmp_path, encoded_shards):
    seen, fatal = encoded_shards
    interrupt(photographs, tmp_path, fatal)
    assert [name for name in content(tmp_path) if "train" in name and "-of-" in name] == ["train-00000-of-00002"]
    with pytest.raises(FileNotFoundError, match="is no finished set of shards"):
        ShardFolder.open(str(tmp_path))
    seen.clear()
    cache(photographs, tmp_path)
    assert seen == ["train-00001-of-00002", "val-00000-of-00002", "val-00001-of-00002"]
    assert content(tmp_path) == content(features[0])


@pytest.mark.parametrize("change", ["cut", "removed"])
def test_a_shard_that_is_not_whole_is_encoded_again(pictures, of_pictures, tmp_path, encoded_shards, change):
    seen, fatal = encoded_shards
    interrupt(pictures, tmp_path, fatal)
    seen.clear()
    first = tmp_path / "train-00000-of-00002"
    if change == "cut":
        first.write_bytes(first.read_bytes()[:-1])
    else:
        first.unlink()
    cache(pictures, tmp_path)
    assert "train-00000-of-00002" in seen
    assert content(tmp_path) == content(of_pictures)


@pytest.mark.parametrize("change", [{"seed": 2}, {"config": dataclasses.replace(CONFIG, crop_fraction=0.5)}])
def test_shards_of_another_encoder_are_encoded_again(pictures, tmp_path, encoded_shards, change):
    seen, fatal = encoded_shards
    interrupt(pictures, tmp_path, fatal)
    before = (tmp_path / "train-00000-of-00002").read_bytes()
    seen.clear()
    cache(pictures, tmp_path, **change)
    assert "train-00000-of-00002" in seen
    assert (tmp_path / "train-00000-of-00002").read_bytes() != before


def test_a_finished_set_is_kept_from_other_encoders(pictures, of_pictures):
    before = content(of_pictures)
    others = {
        "pooling": dataclasses.replace(CONFIG, pooling="max"),
        "image_size": dataclasses.replace(CONFIG, image_size=20),
        "crop_fraction": dataclasses.replace(CONFIG, crop_fraction=1.0),
        "compute_dtype": dataclasses.replace(CONFIG, compute_dtype="bfloat16"),
        "image_size, pooling, feature_shape": dataclasses.replace(CONFIG, pooling="flatten", image_size=32),
    }
    for differing, config in others.items():
        with pytest.raises(ValueError, match=f"holds a finished set of other features, which differ in {differing}. N"):
            cache(pictures, of_pictures, config)
    with pytest.raises(ValueError, match=r"differ in weights_sha256\. Name another --output_dir"):
        cache(pictures, of_pictures, seed=2)
    assert content(of_pictures) == before


def test_a_finished_set_may_be_written_again_from_the_same_folder_by_another_name(
    pictures, of_pictures, tmp_path, monkeypatch
):
    shutil.copytree(of_pictures, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(pictures.data_dir)
    cache_features(".", str(tmp_path), CONFIG, 2, 1)
    before, after = content(of_pictures), content(tmp_path)
    assert json.loads(after.pop("manifest.json"))["encoder"]["source_dir"] == "."  # As given.
    assert before.pop("manifest.json")
    assert after == before


def test_what_cannot_be_cached_is_refused(pictures, tmp_path):
    cached = write_dataset(tmp_path / "features", {"train": 2}, feature_size=3)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    with pytest.raises(ValueError, match="features holds features already"):
        cache(cached, tmp_path / "new")
    with pytest.raises(ValueError, match="encoder.trainable=True: features can be cached of a frozen encoder only"):
        cache(pictures, tmp_path / "new", dataclasses.replace(CONFIG, trainable=True))
    with pytest.raises(ValueError, match="--output_dir is --data_dir"):
        cache(pictures, f"{pictures.data_dir}/../{pictures.data_dir.rpartition('/')[2]}")
    with pytest.raises(FileNotFoundError, match="No manifest.json in"):
        cache_features(str(unfinished), str(tmp_path / "new"), CONFIG, 2, 1)
    with pytest.raises(ValueError, match="holds a finished set of photographs' shards"):
        cache(pictures, write_dataset(tmp_path / "photographs", {"train": 1}).data_dir)
    assert not (tmp_path / "new").exists()


def test_two_at_once_in_one_folder_are_refused(pictures, tmp_path):
    with folder_lock(str(tmp_path), "--output_dir"), pytest.raises(RuntimeError, match="Another process is writing in"):
        cache(pictures, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_missing_shard_is_found_before_any_work(tmp_path, encoded_shards):
    dataset = write_dataset(tmp_path / "data", SPLITS)
    (tmp_path / "data" / "val-00002-of-00003").unlink()
    with pytest.raises(FileNotFoundError, match=r"Found 2 of 3 shards for .*/val-\?+-of-00003; missing 00002"):
        cache(dataset, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_finished_folder_is_not_encoded_again(pictures, of_pictures, tmp_path, encoded_shards):
    seen, _ = encoded_shards
    shutil.copytree(of_pictures, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".tmp-1-ab").write_bytes(b"left by a kill")
    assert cache(pictures, tmp_path) == ShardFolder.open(str(of_pictures)).manifest
    assert seen == []
    assert content(tmp_path) == content(of_pictures)


@pytest.mark.parametrize("lost", ["train-00001-of-00002", "encoder.index", "captions_val.json", "word_counts.txt"])
def test_a_finished_folder_gets_back_what_it_has_lost(pictures, of_pictures, tmp_path, encoded_shards, lost):
    seen, _ = encoded_shards
    shutil.copytree(of_pictures, tmp_path, dirs_exist_ok=True)
    (tmp_path / lost).unlink()
    cache(pictures, tmp_path)
    assert seen == [name for name in [lost] if "-of-" in name]
    assert content(tmp_path) == content(of_pictures)


def test_what_a_kill_leaves_is_cleaned_up_and_the_command_that_finishes_it_named(pictures, tmp_path, encoded_shards):
    interrupt(pictures, tmp_path, encoded_shards[1])
    (tmp_path / ".tmp-1-ab").write_bytes(b"half a shard")
    with pytest.raises(FileNotFoundError, match=r"Finish it with `python -m data_prep\.cache_features --output_dir="):
        ShardFolder.open(str(tmp_path))
    cache(pictures, tmp_path)
    assert [name for name in content(tmp_path) if name.startswith(".")] == []


def flip(path, position):
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0xFF
    path.write_bytes(damaged)


def test_a_damaged_shard_is_named(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 2}, shards_per_split=1)
    shard = tmp_path / "data" / "train-00000-of-00001"
    flip(shard, 300)
    with pytest.raises(ValueError, match=f"^A shard is damaged: {shard}, record 0 at byte 0: the chec.* Run `"):
        cache(dataset, tmp_path / "new")
    left = content(tmp_path / "new")
    assert not [name for name in left if name.startswith((".tmp-", "train", "manifest"))]


def test_a_photograph_that_cannot_be_decoded_is_an_error(tmp_path):
    dataset = write_dataset(tmp_path / "data", {"train": 1}, shards_per_split=1)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    example = records.encode_example(0, stream.getvalue()[:-30], [["<S>", "a", "</S>"]], [[1, 0, 2]], "image")
    shard = tmp_path / "data" / "train-00000-of-00001"
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(example)
    path = tmp_path / "data" / "manifest.json"
    fields = json.loads(path.read_text())
    fields["splits"]["train"]["shards"][0]["bytes"] = shard.stat().st_size
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=f"^A shard is damaged: {shard}, record 0, photograph 0: the photograph"):
        cache(dataset, tmp_path / "new")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backbone": "VGG16"}, "backbone is 'SmallCNN', not 'VGG16'"),
        ({"weights": "/tmp/other.h5"}, "weights is 'none', not 'other.h5'"),
        ({"crop_fraction": 0.81}, "crop_fraction is 0.8, not 0.81"),
        ({"pooling": "flatten"}, "pooling is 'avg', not 'flatten'"),
        ({"resize": "legacy"}, "resize is 'half_pixel', not 'legacy'"),
        ({"image_size": 17}, "image_size is 16, not 17"),
        ({"trainable": True}, "an encoder that is trained cannot be cached"),
    ],
)
def test_training_refuses_features_of_another_encoder(of_pictures, change, told):
    entry = ShardFolder.open(str(of_pictures)).manifest.encoder
    run_folder.check_features(entry, CONFIG)
    config = dataclasses.replace(CONFIG, **change)
    with pytest.raises(ValueError, match=f"do not fit the configuration's encoder: {told}. Make them again with"):
        run_folder.check_features(entry, config)
