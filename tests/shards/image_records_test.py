"""Photographs out of files of many kinds, good and bad."""

import io
import struct
import tarfile

import tensorflow as tf
from fakes import VOCABULARY, jpeg

from im2txt.shards import image_records, records
from im2txt.shards.image_records import ImageRecord


def tfrecord(tmp_path, *serialized):
    path = tmp_path / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
    return path.read_bytes()


def example(**features):
    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def tar(**members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def read_image_records(name, content, skip=0):
    return image_records.read_image_records(name, io.BytesIO(content), skip)


def test_records_of_this_project_give_id_and_image(tmp_path):
    words = ["<S>", "cat", "</S>"]
    written = [
        records.encode_example(image_id, jpeg(image_id), [words], [VOCABULARY.encode(["cat"])], layout)
        for image_id, layout in ((7, "image"), (2**53, "pair"))
    ]
    found = list(read_image_records("train-00000-of-00001", tfrecord(tmp_path, *written)))
    assert found == [ImageRecord(7, jpeg(7)), ImageRecord(2**53, jpeg(2**53))]


def test_records_of_tf_example_give_id_and_image(tmp_path):
    content = tfrecord(
        tmp_path,
        example(image__encoded=b"a", image__key=b"n\xc3\xa9", label=3),
        example(image__encoded=b"b", image__image_id=12),
        example(image__encoded=b"c"),
    )
    assert list(read_image_records("x.tfrecord", content)) == [
        ImageRecord("né", b"a"),
        ImageRecord(12, b"b"),
        ImageRecord(2, b"c"),  # Its number, for want of an id.
    ]


def test_records_without_one_image_have_a_reason(tmp_path):
    content = tfrecord(tmp_path, example(label=1), example(image__encoded=b""), b"\xff\xff garbage", b"")
    reasons = [record.error.partition(":")[0] for record in read_image_records("x", content)]
    assert reasons == ["no_image", "no_image", "not_an_example", "no_image"]


def test_a_damaged_record_is_a_row_and_the_next_ones_are_read(tmp_path):
    content = bytearray(
        tfrecord(tmp_path, *(example(image__encoded=b"image" * 9, image__image_id=i) for i in range(3)))
    )
    content[content.index(b"imageimage")] ^= 1
    first, second, third = read_image_records("x", bytes(content))
    assert first.error == "damaged: record 0 at byte 0: the checksum of the record's data is wrong"
    assert (second.image_id, third.image_id) == (1, 2)
    cut = list(read_image_records("x", bytes(content[:-5])))
    assert [bool(record.error) for record in cut] == [True, False, True]
    assert "the file ends after" in cut[2].error
    assert cut[2].image_id == 2


def test_a_record_of_a_length_beyond_belief_ends_the_file(tmp_path):
    content = tfrecord(tmp_path, example(image__encoded=b"a"))
    (record,) = list(read_image_records("x", struct.pack("<Q", 2**62) + content[8:]))
    assert "the checksum of the record's length is wrong" in record.error


def test_pictures_of_a_tar_file_are_named_by_their_stems():
    content = tar(**{"a/001__jpg": b"one", "a/001__txt": b"a cat", "002__tar__PNG": b"two", "notes": b"x"})
    assert list(read_image_records("x.tar", content)) == [ImageRecord("a/001", b"one"), ImageRecord("002.tar", b"two")]


def test_a_tar_file_that_is_cut_or_no_tar_file_says_so():
    content = tar(**{"1__jpg": b"x" * 2000, "2__jpg": b"y" * 2000})
    first, second = read_image_records("x.tar", content[: 512 + 2048 + 512 + 100])
    assert first == ImageRecord("1", b"x" * 2000)
    assert second.error
    (record,) = read_image_records("x.tar", b"no tar file at all" * 100)
    assert record.error.startswith("damaged: the rest of the tar file cannot be read")
