import dataclasses
import errno
import os
import uuid

import google_crc32c
import pytest
import tensorflow as tf

from data_prep.building.shard_plan import PlannedExample, ShardJob
from data_prep.building.shard_writer import read_report, write_shard
from data_prep.building.skips import Skip
from im2txt.images.image_files import PhotographOptions
from im2txt.shards import records
from im2txt.shards.completion import completion_path
from im2txt.system import storage
from tests.tiny_flickr8k import jpeg

IDS = ((1, 9, 9, 2), (1, 3, 2))
WORDS = (("<S>", "a", "cat", "</S>"), ("<S>", "dog", "</S>"))


def make_job(folder, count=3, output_dir=None, **changes):
    examples = []
    for i in range(count):
        path = folder / f"{i} ü.jpg"
        path.write_bytes(jpeg(i))
        examples.append(PlannedExample(i, path.name, str(path), WORDS, IDS))
    job = ShardJob(
        output_dir=str(output_dir or folder),
        name="train-00000-of-00001",
        fingerprint="f",
        layout="image",
        photographs=PhotographOptions(),
        unknown_id=9,
        examples=tuple(examples),
    )
    return dataclasses.replace(job, **changes)


def read_records(path) -> list[bytes]:
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def test_tensorflow_reads_what_is_written_and_would_write_the_same_bytes(tmp_path):
    job = make_job(tmp_path)
    report = write_shard(job)
    written = read_records(tmp_path / job.name)
    assert written == [records.encode_example(i, jpeg(i), WORDS, IDS, "image") for i in range(3)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in written:
            writer.write(record)
    content = (tmp_path / job.name).read_bytes()
    assert content == (tmp_path / "theirs").read_bytes()
    assert (report.bytes, report.crc32c) == (len(content), f"{google_crc32c.value(content):08x}")


def test_the_report_counts_what_was_written(tmp_path):
    report = write_shard(make_job(tmp_path))
    assert report.captions_per_example == {2: 3}
    assert report.num_words == 3 * (3 + 2)  # `a cat </S>` and `dog </S>`.
    assert report.num_unknown_words == 3 * 2
    assert report.contents == {i: f"{len(jpeg(i))} {google_crc32c.value(jpeg(i)):08x}" for i in range(3)}
    assert report.skipped == ()


def test_photographs_that_cannot_be_used_are_left_out_and_reported_once(tmp_path):
    job = make_job(tmp_path)
    (tmp_path / "1 ü.jpg").write_bytes(jpeg(1)[:-50])
    twice = dataclasses.replace(job, examples=(*job.examples, job.examples[1]))
    report = write_shard(twice)
    assert [(skip.image_id, skip.file_name, skip.reason) for skip in report.skipped] == [(1, "1 ü.jpg", "truncated")]
    assert report.captions_per_example == {2: 2}
    assert len(read_records(tmp_path / job.name)) == 2


def test_photographs_known_to_be_unusable_are_reported_and_not_read(tmp_path):
    known = Skip(1, "1 ü.jpg", "truncated", "ends early")
    job = make_job(tmp_path, unusable=(known,))
    os.remove(job.examples[1].path)
    report = write_shard(job)
    assert report.skipped == (known,)
    assert (report.captions_per_example, sorted(report.contents)) == ({2: 2}, [0, 2])


def test_a_shard_without_a_usable_photograph_is_an_empty_file(tmp_path):
    report = write_shard(make_job(tmp_path, examples=()))
    assert (report.bytes, report.crc32c, report.captions_per_example) == (0, "00000000", {})
    assert read_records(tmp_path / "train-00000-of-00001") == []


def test_many_small_records_and_one_larger_than_the_buffer(tmp_path):
    job = make_job(tmp_path, 1)
    (tmp_path / "0 ü.jpg").write_bytes(jpeg(0) + b"\0" * 3_000_000)
    many = dataclasses.replace(job, examples=job.examples[:1] + make_job(tmp_path / "..", 1).examples * 700)
    write_shard(many)
    assert len(read_records(tmp_path / job.name)) == 701


def test_short_writes_are_completed(tmp_path, monkeypatch):
    real_writev = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, parts: real_writev(descriptor, [b"".join(parts)[:1000]]))
    write_shard(make_job(tmp_path))
    assert len(read_records(tmp_path / "train-00000-of-00001")) == 3


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, parts):
        os.write(descriptor, b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    job = make_job(tmp_path / "", output_dir=tmp_path / "out")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_shard(job)
    assert os.listdir(tmp_path / "out") == []


def test_no_shard_glob_matches_a_file_being_written(tmp_path, monkeypatch):
    seen = []
    real_sync = os.fsync

    def look(descriptor):
        seen.append(tf.io.gfile.glob([str(tmp_path / pattern) for pattern in ("*-of-*", "train*")]))
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_shard(make_job(tmp_path))
    shard = str(tmp_path / "train-00000-of-00001")
    assert seen == [[], [shard] * 2]  # While the shard is written, and while its completion record is.
    assert tf.io.gfile.glob(str(tmp_path / "*-of-*")) == [shard]


def test_a_remote_folder_gets_the_same_bytes(tmp_path):
    remote = f"memory://{uuid.uuid4()}"
    storage.make_directory(remote)
    report = write_shard(make_job(tmp_path, output_dir=remote))
    assert report == write_shard(make_job(tmp_path))
    assert storage.read_bytes(f"{remote}/train-00000-of-00001") == (tmp_path / "train-00000-of-00001").read_bytes()
    assert read_report(remote, report.name, "f") == report


def test_a_completed_shard_is_found_again(tmp_path):
    report = write_shard(make_job(tmp_path))
    assert read_report(str(tmp_path), report.name, "f") == report


def test_a_shard_of_another_plan_cut_short_unrecorded_or_with_skips_is_not_complete(tmp_path):
    job = make_job(tmp_path)
    report = write_shard(job)
    shard, record = tmp_path / job.name, completion_path(str(tmp_path), job.name)
    assert read_report(str(tmp_path), job.name, "another plan") is None
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert read_report(str(tmp_path), job.name, "f") is None
    shard.unlink()
    assert read_report(str(tmp_path), job.name, "f") is None
    shard.write_bytes(content)
    assert read_report(str(tmp_path), job.name, "f") == report
    storage.write_text(record, storage.read_text(record)[:-9])
    assert read_report(str(tmp_path), job.name, "f") is None
    storage.remove(record)
    assert read_report(str(tmp_path), job.name, "f") is None
    (tmp_path / "1 ü.jpg").unlink()
    write_shard(job)
    assert read_report(str(tmp_path), job.name, "f") is None
