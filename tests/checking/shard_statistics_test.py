import collections
import pathlib

import fake_shards
import pytest
import tensorflow as tf
from fake_shards import SPLITS, VOCABULARY

from data_prep.checking.shard_statistics import Statistics, collect
from im2txt.shards import records
from im2txt.shards.shard_folder import ShardFolder

CAPTIONS = [caption.split() for photos in SPLITS.values() for photo in photos for caption in photo.captions]


def read(folder: pathlib.Path, num_samples: int = 4, seed: int = 0, split: str = "train") -> Statistics:
    return collect(ShardFolder.open(str(folder)), VOCABULARY, split, num_samples, seed, num_readers=2)


@pytest.mark.parametrize("layout", ["image", "pair"])
def test_statistics_count_the_captions_of_all_splits(tmp_path: pathlib.Path, layout: records.Layout) -> None:
    fake_shards.write_folder(tmp_path, layout=layout)
    statistics = read(tmp_path)
    words = collections.Counter(word for caption in CAPTIONS for word in caption)
    assert statistics.unknown_words == {"zebra": words.pop("zebra")}
    assert statistics.words == words
    assert statistics.lengths == collections.Counter(map(len, CAPTIONS))


def test_samples_are_the_records_they_say_they_are(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    samples = read(tmp_path).samples
    assert len(samples) == 4
    for sample in samples:
        record = list(tf.data.TFRecordDataset(str(tmp_path / sample.shard)))[sample.record]
        context = tf.train.SequenceExample.FromString(record.numpy()).context.feature
        assert sample.example.image_id == context["image/image_id"].int64_list.value[0]
        assert sample.example.encoded_image == context["image/data"].bytes_list.value[0]


def test_the_seed_decides_the_samples_and_each_comes_once(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    drawn = [[sample.example.image_id for sample in read(tmp_path, seed=seed).samples] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    everything = [sample.example.image_id for sample in read(tmp_path, num_samples=99).samples]
    assert sorted(everything) == [photo.image_id for photo in SPLITS["train"]]


def test_a_damaged_shard_sends_to_verify_data(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "val-00000-of-00002"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"val-00000-of-00002 is damaged: record 0.*data_prep\.verify_data"):
        read(tmp_path)


def test_an_unknown_split_is_refused(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    with pytest.raises(ValueError, match=r"'dev' is not in the manifest, which holds \['test', 'train', 'val'\]"):
        read(tmp_path, split="dev")
