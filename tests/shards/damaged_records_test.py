"""Shards are damaged behind the back of their manifest; TensorFlow meets the damage, and the error names it."""

import struct

import fake_shards
import google_crc32c
import numpy as np
import pytest
from fake_shards import Photo, jpeg

from im2txt.shards import input_pipeline, tfrecords
from im2txt.shards.input_pipeline import ImageFormat
from im2txt.shards.shard_folder import ShardFolder

SHARD = "train-00000-of-00001"


def write(folder, *photos, features=None):
    fake_shards.write_folder(folder, {"train": list(photos)}, features=features, num_shards=1)
    return ShardFolder.open(str(folder))


def read_all(folder):
    image_format = None if folder.manifest.encoder else ImageFormat(16, 1.0)
    with folder.damage_named():
        return [
            batch["image_id"].numpy() for batch in input_pipeline.evaluation_batches(folder, "train", image_format, 2)
        ]


def photo(image_id, encoded_image=None, captions=("a dog", "a cat")):
    return Photo(image_id, jpeg(image_id) if encoded_image is None else encoded_image, captions)


def test_a_photograph_that_does_not_decode_is_named_with_shard_and_record(tmp_path):
    folder = write(tmp_path, photo(7), photo(8), photo(9, jpeg(9)[:-300]))
    with pytest.raises(
        ValueError, match=rf"{SHARD}, record 2, photograph 9: the photograph does not decode \(.+\)\. `"
    ):
        read_all(folder)


def test_a_record_that_fails_its_checksum_is_named(tmp_path):
    folder = write(tmp_path, photo(7), photo(8))
    content = bytearray((tmp_path / SHARD).read_bytes())
    content[-100] ^= 1
    (tmp_path / SHARD).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{SHARD}, record 1 at byte \d+: the checksum of the record's data is wrong"):
        read_all(folder)


def test_a_record_that_is_no_example_is_named(tmp_path):
    write(tmp_path, photo(7), photo(8))
    records = list(tfrecords.read_records((tmp_path / SHARD).read_bytes()))
    fake_shards.write_shard(tmp_path / SHARD, [records[0], b"\x00nonsense" * 20])
    fake_shards.relist(tmp_path)
    with pytest.raises(ValueError, match=rf"{SHARD}, record 1: it is no tf.SequenceExample"):
        read_all(ShardFolder.open(str(tmp_path)))


def test_features_of_another_size_are_named(tmp_path):
    folder = write(tmp_path, photo(1), photo(2), features={1: np.zeros(4, np.float32), 2: np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=rf"{SHARD}, record 1, photograph 2: it does not hold 4 features"):
        read_all(folder)


def test_a_word_id_that_the_vocabulary_lacks_is_named(tmp_path):
    write(tmp_path, photo(1))
    record = fake_shards.records.encode_example(1, jpeg(1), [["<S>", "a", "</S>"]] * 2, [[1, 99, 2]] * 2, "image")
    fake_shards.write_shard(tmp_path / SHARD, [record])
    fake_shards.relist(tmp_path)
    with pytest.raises(ValueError, match="record 0, photograph 1: a caption has a word id outside 0 to 7"):
        ask_in_vain(ShardFolder.open(str(tmp_path)))


def ask_in_vain(folder, *splits):
    import tensorflow as tf

    with folder.damage_named(*splits):
        raise tf.errors.InvalidArgumentError(None, None, "indices[0,0] = 99 is not in [0, 8)")


def test_an_error_that_no_record_explains_stays_as_it_is(tmp_path):
    import tensorflow as tf

    folder = write(tmp_path, photo(1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        ask_in_vain(folder)


def test_only_the_named_splits_are_searched(tmp_path):
    splits = {"test": [photo(1)], "train": [photo(2, b"no photograph")], "val": [photo(3, b"nor this")]}
    fake_shards.write_folder(tmp_path, splits, num_shards=1)
    with pytest.raises(ValueError, match="val-00000-of-00001, record 0, photograph 3"):
        ask_in_vain(ShardFolder.open(str(tmp_path)), "test", "val")


def crafted(length, content=b""):
    """A record of any length whose checksum is right."""
    header = struct.pack("<Q", length)
    crc = google_crc32c.value(header)
    return header + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) + content


@pytest.mark.parametrize("length", [2**62, 2**64 - 1, 2**63, 2**31, 600])
def test_a_record_longer_than_its_shard_is_refused_before_tensorflow_believes_it(tmp_path, length):
    write(tmp_path, photo(1))
    first = (tmp_path / SHARD).read_bytes()
    (tmp_path / SHARD).write_bytes(first + crafted(length, bytes(500)))
    fake_shards.relist(tmp_path)
    folder = ShardFolder.open(str(tmp_path))
    with pytest.raises(
        ValueError, match=rf"{SHARD} is damaged: record 1 at byte {len(first)} claims {length} bytes.*Run"
    ):
        folder.shard_paths("train")


def test_a_record_too_long_for_a_protocol_buffer_is_refused_though_the_file_is_longer(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.write(crafted(2**31))
        file.truncate(2**31 + 16)  # Takes no room on the disk.
    with pytest.raises(ValueError, match="record 0 at byte 0 claims 2147483648 bytes"):
        tfrecords.check_framing(str(tmp_path / "x"), 1)


def test_more_or_fewer_records_than_the_manifest_says_are_refused(tmp_path):
    write(tmp_path, photo(1), photo(2))
    path = str(tmp_path / SHARD)
    tfrecords.check_framing(path, 2)
    for wrong in (1, 3):
        with pytest.raises(ValueError, match=f"holds 2 records, its manifest says {wrong}"):
            tfrecords.check_framing(path, wrong)


def test_a_shard_that_has_changed_is_walked_again(tmp_path):
    write(tmp_path, photo(1), photo(2))
    path = str(tmp_path / SHARD)
    tfrecords.check_framing(path, 2)
    content = (tmp_path / SHARD).read_bytes()
    (tmp_path / SHARD).write_bytes(content[:-3])
    with pytest.raises(ValueError, match="is damaged: record 1"):
        tfrecords.check_framing(path, 2)
