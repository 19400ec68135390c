"""Training shards are damaged, and batches are asked for without the damaged records."""

import dataclasses
import itertools
import re
import struct
from collections import Counter

import numpy as np
import pytest
from fakes import jpeg, write_dataset

from im2txt.configuration import InputConfig
from im2txt.images.preprocessing import ImageFormat
from im2txt.shards import records, tfrecords
from im2txt.shards.input_pipeline import training_batches
from im2txt.shards.left_out_records import leave_out_damage
from im2txt.shards.shard_folder import ShardFolder


def starts(content):
    """Where the records of a shard begin, and where the file ends: a second reading of the format."""
    positions = [0]
    while positions[-1] < len(content):
        positions.append(positions[-1] + 16 + struct.unpack_from("<Q", content, positions[-1])[0])
    return positions


def damage(path, number, at=40):
    """Flips bits of a record's data, so many bytes after its beginning; of its length's checksum with at=9."""
    content = bytearray(path.read_bytes())
    content[starts(content)[number] + at] ^= 0xFF
    path.write_bytes(content)


def epoch(folder, settings, image_format=None, seed=1):
    """One epoch of batches; the settings' batch size divides it."""
    num_batches = sum(len(ids) for ids in folder.caption_ids["train"].values()) // settings.batch_size
    opened = leave_out_damage(ShardFolder.open(folder.data_dir), "train", settings.max_damaged_records)
    batches = training_batches(opened, settings, image_format, seed)
    return [{name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(batches, num_batches)]


def captions_in(batch):
    for i in range(len(batch["mask"])):
        ids = (*batch["input_ids"][i][batch["mask"][i]], *batch["target_ids"][i][batch["mask"][i]][-1:])
        yield int(batch["image_id"][i]), tuple(map(int, ids))


def settings_of(folder, batch_size=4, **fields):
    fields = {"bucketing_batches": 3, "shuffle_buffer_examples": 7, "max_damaged_records": 3} | fields
    return InputConfig(data_dir=folder.data_dir, batch_size=batch_size, **fields)


def image_ids_of(path):
    return [
        records.parse_example(record, "image")["image_id"].numpy()
        for record in tfrecords.read_records(path.read_bytes())
    ]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_sound_captions_come_once_an_epoch_and_rows_without_words_for_the_others(tmp_path, batch_size):
    folder = write_dataset(tmp_path, {"train": 12}, (1, 2, 3), shards_per_split=2)
    lost = [image_ids_of(tmp_path / "train-00000-of-00002")[n] for n in (0, 3)]
    for number in (0, 3):
        damage(tmp_path / "train-00000-of-00002", number)
    batches = epoch(folder, settings_of(folder, batch_size), ImageFormat(8, 1.0))
    seen = Counter(found for batch in batches for found in captions_in(batch))
    rows_without_words = sum(count for (_, ids), count in seen.items() if not ids)
    captions = folder.caption_ids["train"]
    assert {key: count for key, count in seen.items() if key[1]} == Counter(
        (i, tuple(ids)) for i in captions for ids in captions[i] if i not in lost
    )
    assert all(batch["mask"].shape[1] for batch in batches)  # Also where the one row has no word.
    assert rows_without_words == sum(len(captions[i]) for i in lost) > 0


def test_a_folder_without_damage_gives_the_batches_that_it_gives_unasked(tmp_path):
    folder = write_dataset(tmp_path, {"train": 12}, (2,), feature_size=4)
    asked, unasked = (epoch(folder, settings_of(folder, max_damaged_records=n)) for n in (3, 0))
    for one, other in zip(asked, unasked, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


def test_what_a_step_sees_is_the_same_wherever_the_run_starts(tmp_path):
    folder = write_dataset(tmp_path, {"train": 12}, (2, 3), feature_size=4, shards_per_split=2)
    damage(tmp_path / "train-00000-of-00002", 2)
    opened, settings = ShardFolder.open(folder.data_dir), settings_of(folder)
    opened = leave_out_damage(opened, "train", 1)
    whole = itertools.islice(training_batches(opened, settings, None, 1), 12)
    for first_step in (5, 11):
        begun_later = next(iter(training_batches(opened, settings, None, 1, first_step)))
        expected = next(itertools.islice(whole, 5, None))
        for name, value in expected.items():
            np.testing.assert_array_equal(value, begun_later[name])


def test_each_damaged_record_is_named_whatever_is_wrong_with_it(tmp_path, capsys):
    folder = write_dataset(tmp_path, {"train": 9}, (2,), shards_per_split=3)
    damage(tmp_path / "train-00000-of-00003", 1)
    path = tmp_path / "train-00002-of-00003"
    sound = list(tfrecords.read_records(path.read_bytes()))
    undecodable = records.encode_example(77, jpeg(1)[:-200], [["<S>", "a", "</S>"]] * 2, [[1, 0, 2]] * 2, "image")
    tfrecords.write_records(str(path), iter([sound[0], sound[1], undecodable]))
    shards = list(folder.manifest.split("train").shards)
    shards[2] = dataclasses.replace(shards[2], bytes=path.stat().st_size)
    split = dataclasses.replace(folder.manifest.split("train"), shards=tuple(shards))
    manifest = dataclasses.replace(folder.manifest, splits=folder.manifest.splits | {"train": split})
    left = leave_out_damage(ShardFolder(folder.data_dir, manifest), "train", 2)
    assert left.left_out == {"train-00000-of-00003": {1}, "train-00002-of-00003": {2}}
    told = capsys.readouterr().out
    assert "Left out: 2 damaged records of at most 2" in told
    assert re.search(r"train-00000-of-00003, record 1 at byte \d+: the checksum of the record's data is wrong", told)
    assert re.search(r"train-00002-of-00003, record 2, photograph 77: the photograph does not decode", told)


def test_more_damage_than_allowed_ends_it_with_all_of_it_named(tmp_path):
    folder = write_dataset(tmp_path, {"train": 12}, (2,), feature_size=4, shards_per_split=3)
    for number in (0, 2):
        damage(tmp_path / "train-00001-of-00003", number)
    opened = ShardFolder.open(folder.data_dir)
    with pytest.raises(
        ValueError, match=r"2 records of split 'train' are damaged, input\.max_damaged_records=1"
    ) as told:
        leave_out_damage(opened, "train", 1)
    assert "record 0 at byte 0" in str(told.value)
    assert "record 2 at byte" in str(told.value)


def test_what_follows_an_untrustworthy_length_counts_as_damaged_too(tmp_path):
    folder = write_dataset(tmp_path, {"train": 10}, (2,), feature_size=4, shards_per_split=2)
    damage(tmp_path / "train-00001-of-00002", 2, at=9)
    opened = ShardFolder.open(folder.data_dir)
    with pytest.raises(
        ValueError, match="^3 records .* length is wrong; .* record 3: it cannot be found after that one"
    ):
        leave_out_damage(opened, "train", 2)
    assert leave_out_damage(opened, "train", 3).left_out == {"train-00001-of-00002": {2, 3, 4}}
    seen = {
        i
        for batch in epoch(folder, settings_of(folder, 5, shuffle_buffer_examples=1))
        for i, ids in captions_in(batch)
        if ids
    }
    assert len(seen) == 7


def test_a_shard_without_a_sound_record_is_refused(tmp_path):
    folder = write_dataset(tmp_path, {"train": 4}, (2,), feature_size=4, shards_per_split=2)
    for number in (0, 1):
        damage(tmp_path / "train-00001-of-00002", number)
    with pytest.raises(ValueError, match="train-00001-of-00002 holds no sound record"):
        leave_out_damage(ShardFolder.open(folder.data_dir), "train", 4)


def test_a_record_that_breaks_after_the_scan_is_named_not_dropped(tmp_path):
    folder = write_dataset(tmp_path, {"train": 10}, (2,), feature_size=4, shards_per_split=1)
    path = tmp_path / "train-00000-of-00001"
    damage(path, 1)
    opened = leave_out_damage(ShardFolder.open(folder.data_dir), "train", 5)
    damage(path, 6)
    with (
        pytest.raises(
            ValueError, match=r"A shard is damaged: .*record 6 at byte .*lists all that is wrong\. Do this\.$"
        ),
        opened.damage_named("train", advice="Do this."),
    ):
        list(itertools.islice(training_batches(opened, settings_of(folder), None, 1), 3))
