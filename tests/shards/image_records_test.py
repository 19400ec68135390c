"""Photographs out of files of many kinds, good and bad."""

import gzip
import io
import json
import random
import struct
import tarfile

import pytest
import tensorflow as tf
from fakes import VOCABULARY, jpeg

from im2txt.shards import image_records, records
from im2txt.shards.image_records import ImageRecord
from im2txt.system import storage


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
    whole = [ImageRecord("1", b"x" * 2000), ImageRecord("2", b"y" * 2000)]
    assert list(read_image_records("x.tar", content)) == whole
    # Cut between two members, or with an unreadable header there: tarfile alone would take either for the end.
    for damaged in (content[: 512 + 2048], content[: 512 + 2048] + b"x" + content[512 + 2049 :]):
        found = list(read_image_records("x.tar", damaged))
        assert found[:-1] == whole[:1]
        assert found[-1].error.endswith("no header and no end of archive at byte 2560")
    first, second = read_image_records("x.tar", content[: 512 + 2048 + 512 + 100])
    assert first == ImageRecord("1", b"x" * 2000)
    assert second.error
    (record,) = read_image_records("x.tar", b"no tar file at all" * 100)
    assert record.error.startswith("damaged: the rest of the tar file cannot be read")


def header(name, size, kind=b"0"):
    """A tar header whose size may be what no writer would write."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_members_that_claim_impossible_sizes_end_the_file(tmp_path):
    good = tar(**{"1__jpg": b"one"})[:1024]
    for block, error in [
        (header("2.jpg", -1024), "a size below zero"),  # Would lead tarfile back to the first member, for ever.
        (header("2.jpg", 1 << 62), "too_large: 4,611,686,018,427,387,904 bytes"),
        (header("longname", 1 << 40, b"L"), ""),  # Would have tarfile ask for a terabyte of memory.
    ]:
        path = tmp_path / "x.tar"
        path.write_bytes(good + block + bytes(2048))
        with storage.opened(str(path)) as file:
            first, *others = image_records.read_image_records("x.tar", file)
        assert first == ImageRecord("1", b"one")
        assert others
        assert all(record.error for record in others)
        assert error in others[0].error


def test_links_and_sparse_members_are_rows_with_a_reason():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    found = list(read_image_records("x.tar", stream.getvalue()))
    assert [record.image_id for record in found] == ["a", "b"]
    assert all(record.error.startswith("not_a_file: ") for record in found)


def test_names_that_are_no_text_are_shown_as_far_as_they_are():
    content = tar(x__jpg=b"one")
    block = bytearray(content[:512])
    block[:5] = b"\xff.jpg"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (record,) = read_image_records("x.tar", bytes(block) + content[512:])
    assert record == ImageRecord("\ufffd", b"one")


def test_packed_files_and_records_beyond_the_limit_say_so(tmp_path, monkeypatch):
    (record,) = read_image_records("x.tar.gz", gzip.compress(tar(**{"1__jpg": b"one"})))
    assert record.error.startswith("compressed: ")
    monkeypatch.setattr(storage, "MAX_PHOTOGRAPH_BYTES", 1000)
    monkeypatch.setattr(image_records, "MAX_RECORD_BYTES", 1200)
    pictures = [b"x" * size for size in (1000, 1001, 2000)]
    content = tfrecord(tmp_path, *(example(image__encoded=b, image__image_id=len(b)) for b in pictures))
    first, second, third = read_image_records("x", content)
    assert first == ImageRecord(1000, pictures[0])
    assert second == ImageRecord(1001, error="too_large: 1,001 bytes; a photograph has at most 1,000")
    assert third.image_id == 2
    assert third.error.endswith("bytes, a record at most 1,200")
    first, second = read_image_records("x.tar", tar(**{"1__jpg": pictures[0], "2__jpg": pictures[1]}))
    assert (first.error, second.error[:9]) == ("", "too_large")


def test_records_at_the_beginning_are_passed_over(tmp_path):
    content = tfrecord(tmp_path, *(example(image__encoded=b"%d" % i) for i in range(4)))
    assert list(read_image_records("x", content, 2)) == [ImageRecord(2, b"2"), ImageRecord(3, b"3")]


@pytest.mark.parametrize("name", ["x", "x.tar"])
def test_mutated_files_give_rows_and_nothing_else(tmp_path, name):
    """Whatever the bytes, every row is a photograph or a reason, and can be written as JSON."""
    draw = random.Random(7)
    pictures = {f"é{i}__jpg": draw.randbytes(700) for i in range(3)}
    examples = [example(image__encoded=picture) for picture in pictures.values()]
    whole = tar(**pictures) if name == "x.tar" else tfrecord(tmp_path, *examples)
    kinds = set()
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 1, 3))):
            # Where headers and lengths lie, mostly.
            at = draw.choice((draw.randrange(len(content)), draw.randrange(600) % len(content)))
            content[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        for record in read_image_records(name, bytes(content)):
            assert bool(record.encoded_image) != bool(record.error)
            json.dumps([record.image_id, record.error], ensure_ascii=False).encode()
            kinds.add(record.error.partition(":")[0])
    assert {"", "damaged"} <= kinds
