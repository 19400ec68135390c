import dataclasses
import json
import pathlib
import re
from collections.abc import Sequence

import fake_shards
import numpy as np
import pytest
import tensorflow as tf
from fake_shards import SPLITS, Photo, photos

from data_prep.checking.folder_checks import check_folder
from im2txt.shards import manifest as manifests
from im2txt.shards import records
from im2txt.shards.shard_folder import ShardFolder


def found(folder: pathlib.Path, decode_images: bool = False) -> list[str]:
    """Every fault as one line."""
    report = check_folder(str(folder), decode_images, num_readers=2)
    return [f"{fault.where}: {fault.problem} | {fault.advice}" for fault in report.faults]


def only_fault(folder: pathlib.Path, decode_images: bool = False) -> str:
    (fault,) = found(folder, decode_images)
    return fault


def all_faults(folder: pathlib.Path) -> str:
    return "\n".join(found(folder))


def rewrite(folder: pathlib.Path, name: str, change: dict[int, bytes]) -> None:
    """Replaces records of a shard, by index, and makes the manifest's checksums agree."""
    examples = [r.numpy() for r in tf.data.TFRecordDataset(str(folder / name))]
    fake_shards.write_shard(folder / name, [change.get(i, example) for i, example in enumerate(examples)])
    fake_shards.relist(folder)


def example(image_id: int, words: Sequence[str], ids: Sequence[int] | None = None) -> bytes:
    """A record of layout `image` with one caption."""
    ids = ids or [fake_shards.VOCABULARY.word_to_id(word) for word in words]
    return records.encode_example(image_id, fake_shards.jpeg(image_id), [words], [ids], "image")


def pair_example(image_id: int, caption: str) -> bytes:
    words = ["<S>", *caption.split(), "</S>"]
    ids = [fake_shards.VOCABULARY.word_to_id(word) for word in words]
    return records.encode_example(image_id, fake_shards.jpeg(image_id), [words], [ids], "pair")


def change_manifest(folder: pathlib.Path, split: str, **changes: object) -> None:
    manifest = ShardFolder.open(str(folder)).manifest
    splits = manifest.splits | {split: dataclasses.replace(manifest.splits[split], **changes)}
    manifests.write_manifest(str(folder), dataclasses.replace(manifest, splits=splits))


@pytest.mark.parametrize("layout", ["image", "pair"])
def test_a_sound_folder_has_no_fault_in_either_layout(tmp_path: pathlib.Path, layout: records.Layout) -> None:
    fake_shards.write_folder(tmp_path, layout=layout)
    report = check_folder(str(tmp_path), decode_images=True, num_readers=2)
    assert report.faults == ()
    assert report.notes == ()


def test_a_sound_folder_of_feature_shards_has_no_fault(tmp_path: pathlib.Path) -> None:
    features = {photo.image_id: np.full((2, 3), photo.image_id, np.float32) for s in SPLITS.values() for photo in s}
    fake_shards.write_folder(tmp_path, features=features)
    assert found(tmp_path, decode_images=True) == []


def test_features_of_one_photograph_may_differ_in_the_last_bit(tmp_path: pathlib.Path) -> None:
    ids = [photo.image_id for split in SPLITS.values() for photo in split]
    fake_shards.write_folder(tmp_path, layout="pair", features={i: np.full(6, 0.1, np.float32) for i in ids})
    examples = [r.numpy() for r in tf.data.TFRecordDataset(str(tmp_path / "train-00000-of-00002"))]
    nudged = records.replace_image_with_features(pair_example(10, "a dog runs"), np.full(6, 0.1000001, np.float32))
    assert nudged != examples[0]
    rewrite(tmp_path, "train-00000-of-00002", {0: nudged})
    assert found(tmp_path) == []


def test_a_folder_without_manifest_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no finished set of shards.*build_shards"):
        check_folder(str(tmp_path), False, 1)


def test_a_missing_shard_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    (tmp_path / "val-00001-of-00002").unlink()
    fault = only_fault(tmp_path)
    assert fault.startswith("val-00001-of-00002: is missing")
    assert "Copy the shard again" in fault


def test_a_flipped_byte_is_found_in_the_file_and_in_its_record(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "train-00000-of-00002"
    content = bytearray(path.read_bytes())
    first_record_bytes = 12 + int.from_bytes(content[:8], "little") + 4
    content[first_record_bytes + 100] ^= 1
    path.write_bytes(content)
    whole, record = found(tmp_path)
    assert re.search(r"train-00000-of-00002: has the checksum [0-9a-f]{8}, the manifest says [0-9a-f]{8}", whole)
    assert f"record 1 at byte {first_record_bytes}: the checksum of the record's data is wrong" in record
    assert "Copy the shard again" in record


def test_a_flipped_byte_in_a_length_is_found_before_the_length_is_believed(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "train-00000-of-00002"
    content = bytearray(path.read_bytes())
    content[7] ^= 0x40
    path.write_bytes(content)
    assert "record 0 at byte 0: the checksum of the record's length is wrong" in found(tmp_path)[1]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(-1, "the file ends after"), (5, "the file ends within the record's length")],
    ids=["in the data", "in the length"],
)
def test_a_shard_cut_short_is_found(tmp_path: pathlib.Path, kept: int, expected: str) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "test-00000-of-00002"
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    size, record = found(tmp_path)
    assert f"has {len(content[:kept])} bytes, the manifest says {len(content)}" in size
    assert expected in record


def test_a_shard_cut_short_between_two_records_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "train-00000-of-00002"
    content = path.read_bytes()
    path.write_bytes(content[: 12 + int.from_bytes(content[:8], "little") + 4])
    faults = found(tmp_path)
    assert any("has captions per example {2: 1}, the manifest says {2: 5}" in fault for fault in faults)
    assert any("train: has images 6, the manifest says 10" in fault for fault in faults)


def test_faults_hidden_behind_damage_are_announced(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    (tmp_path / "val-00001-of-00002").unlink()
    assert check_folder(str(tmp_path), False, 1).notes == (
        "val: totals and captions were not compared, because not every record could be read.",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("words", 200), ("unknown_words", 1), ("captions_per_image", {1: 1, 2: 8, 3: 1})],
)
def test_every_number_of_the_manifest_is_compared(tmp_path: pathlib.Path, field: str, value: object) -> None:
    fake_shards.write_folder(tmp_path)
    change_manifest(tmp_path, "train", **{field: value})
    fault = only_fault(tmp_path)
    assert f"train: has {field.replace('_', ' ')}" in fault
    assert f"the manifest says {value}." in fault


@pytest.mark.parametrize("layout", ["image", "pair"])
def test_photographs_and_captions_are_counted_in_the_shards(tmp_path: pathlib.Path, layout: records.Layout) -> None:
    fake_shards.write_folder(tmp_path, layout=layout)
    train = ShardFolder.open(str(tmp_path)).manifest.split("train")
    first = train.shards[0]
    more = dataclasses.replace(first, captions_per_example={2: 6} if layout == "image" else {1: 12})
    change_manifest(
        tmp_path, "train", images=11, captions=22, captions_per_image={2: 11}, shards=(more, *train.shards[1:])
    )
    faults = found(tmp_path)
    assert any("train: has images 10, the manifest says 11." in fault for fault in faults)
    assert any("train: has captions 20, the manifest says 22." in fault for fault in faults)
    assert any("train-00000-of-00002: has captions per example" in fault for fault in faults)


COUNTS = {"a": 25, "<S>": 20, "</S>": 20, "dog": 10, "runs": 15, "cat": 5, "sits": 5}  # Of the train split's captions.


def write_counted(folder: pathlib.Path, counts: dict[str, int], lost: int = 0, given: str | None = None) -> None:
    """Writes a folder as if its vocabulary had been built with it."""
    fake_shards.write_folder(folder)
    (folder / "word_counts.txt").write_text("\n".join(f"{word} {count}" for word, count in counts.items()))
    manifest = ShardFolder.open(str(folder)).manifest
    options = {"vocabulary": {"vocabulary_file": given}}
    manifests.write_manifest(str(folder), dataclasses.replace(manifest, options=options, vocabulary_only_captions=lost))


def test_counts_of_the_train_captions_are_no_fault(tmp_path: pathlib.Path) -> None:
    write_counted(tmp_path, COUNTS)
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dog": 11}, r"counts 'dog' 11 times, the train shards hold it 10 times \(1 words differ\)"),
        ({"dog": 9}, r"counts 'dog' 9 times, the train shards hold it 10 times \(1 words differ\)"),
        (
            {"<S>": 25, "</S>": 25, "a": 32},
            r"counts 'a' 32 times, the train shards hold it 25 times \(3 words differ\)",
        ),
    ],
)
def test_a_vocabulary_that_counts_other_captions_is_found(
    tmp_path: pathlib.Path, change: dict[str, int], told: str
) -> None:
    write_counted(tmp_path, COUNTS | change)
    assert re.search(rf"^word_counts\.txt: {told}\. \| The vocabulary counts captions", only_fault(tmp_path))


def test_captions_that_only_the_vocabulary_has_are_allowed_in_their_number(tmp_path: pathlib.Path) -> None:
    more = COUNTS | {"<S>": 22, "</S>": 22, "dog": 13}
    write_counted(tmp_path, more, lost=2)
    assert found(tmp_path) == []
    write_counted(tmp_path, more, lost=3)
    assert "counts '<S>' 22 times, the train shards hold it 20 times (2 words differ)" in only_fault(tmp_path)
    write_counted(tmp_path, more | {"cat": 4}, lost=2)
    assert "counts 'cat' 4 times, the train shards hold it 5 times (1 words differ)" in only_fault(tmp_path)


def test_a_given_vocabulary_counts_what_it_likes(tmp_path: pathlib.Path) -> None:
    write_counted(tmp_path, COUNTS | {"dog": 999}, given="word_counts.txt")
    assert found(tmp_path) == []


def test_another_vocabulary_is_found_once_and_not_as_a_fault_of_every_caption(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    text = (tmp_path / "word_counts.txt").read_text()
    (tmp_path / "word_counts.txt").write_text(text.replace("dog 5\nruns 4", "runs 4\ndog 5"))
    fault = only_fault(tmp_path)
    assert "word_counts.txt is not the vocabulary these shards were written with" in fault
    assert "Put back" in fault


def test_a_missing_vocabulary_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    (tmp_path / "word_counts.txt").unlink()
    assert only_fault(tmp_path).startswith("word_counts.txt: ")


def test_an_id_past_the_vocabulary_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    words = ["<S>", "a", "dog", "runs", "</S>"]
    rewrite(tmp_path, "train-00000-of-00002", {0: example(10, words, [1, 0, 8, 4, 2])})
    fault = all_faults(tmp_path)
    assert "train-00000-of-00002: holds a word id that the vocabulary does not have" in fault
    assert "record 0, image 10, caption 0, word 2 has id 8; ids are below 8" in fault
    assert "of different builds" in fault


def test_a_word_with_another_words_id_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    words = ["<S>", "a", "dog", "runs", "</S>"]
    rewrite(tmp_path, "train-00000-of-00002", {0: example(10, words, [1, 0, 5, 4, 2])})
    assert "word 2 is 'dog' with id 5, which is the id of 'cat' (expected 3)" in all_faults(tmp_path)


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("a dog runs </S>", "does not run from <S> to </S>"),
        ("<S> a dog runs", "does not run from <S> to </S>"),
        ("<S>", "does not run from <S> to </S>"),
        ("<S> a </S> runs </S>", "with <S> or </S> inside"),
    ],
)
def test_a_caption_without_its_marks_is_found(tmp_path: pathlib.Path, caption: str, kind: str) -> None:
    fake_shards.write_folder(tmp_path)
    rewrite(tmp_path, "train-00000-of-00002", {0: example(10, caption.split())})
    fault = all_faults(tmp_path)
    assert kind in fault
    assert f"record 0, image 10, caption 0 is {caption!r}" in fault


def test_faults_of_one_kind_are_counted_not_repeated(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    rewrite(tmp_path, "train-00000-of-00002", {i: example(i, ["a", "</S>"]) for i in range(3)})
    assert "image 0, caption 0 is 'a </S>' (and 2 more)" in all_faults(tmp_path)


def test_words_and_ids_of_different_number_are_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    record = tf.train.SequenceExample.FromString(example(10, ["<S>", "a", "</S>"]))
    record.feature_lists.feature_list["image/caption_ids"].feature[0].int64_list.value.append(2)
    rewrite(tmp_path, "train-00000-of-00002", {0: record.SerializeToString()})
    assert "image 10, caption 0 has 3 words and 4 ids" in all_faults(tmp_path)


def test_captions_without_ids_are_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    record = tf.train.SequenceExample.FromString(example(10, ["<S>", "a", "</S>"]))
    del record.feature_lists.feature_list["image/caption_ids"]
    rewrite(tmp_path, "train-00000-of-00002", {0: record.SerializeToString()})
    assert "image 10 has 1 captions as words, 0 as ids" in all_faults(tmp_path)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("image/image_id", "it has 0 values of image/image_id"),
        ("image/data", "it has neither image/data nor image/features"),
    ],
)
def test_a_record_that_lacks_a_key_is_found(tmp_path: pathlib.Path, key: str, expected: str) -> None:
    fake_shards.write_folder(tmp_path)
    record = tf.train.SequenceExample.FromString(example(10, ["<S>", "a", "</S>"]))
    del record.context.feature[key]
    rewrite(tmp_path, "train-00000-of-00002", {0: record.SerializeToString()})
    assert f"record 0: {expected}" in all_faults(tmp_path)


def test_a_record_of_something_else_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    rewrite(tmp_path, "train-00000-of-00002", {0: b"\xff\xff", 2: example(14, ["a", "</S>"])})
    faults = all_faults(tmp_path)
    assert "record 0: it is no tf.SequenceExample" in faults
    assert "record 2, image 14, caption 0 is 'a </S>'" in faults


def test_shards_of_the_other_layout_are_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path, {"train": [Photo(i, fake_shards.jpeg(i), ("a dog",)) for i in (1, 2)]})
    manifest = ShardFolder.open(str(tmp_path)).manifest
    manifests.write_manifest(str(tmp_path), dataclasses.replace(manifest, layout="pair"))
    assert "it is not of layout 'pair'" in all_faults(tmp_path)


def test_a_photograph_that_does_not_decode_is_found_when_asked_for(tmp_path: pathlib.Path) -> None:
    broken = Photo(40, fake_shards.jpeg(40)[:200], ("a dog runs",))
    fake_shards.write_folder(tmp_path, SPLITS | {"train": [*SPLITS["train"], broken]})
    assert found(tmp_path) == []
    fault = only_fault(tmp_path, decode_images=True)
    assert "holds a photograph that does not decode: record 5, image 40: " in fault
    assert "--verify=decode" in fault


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (np.zeros(5, np.float32), "image 10 has 5 numbers, the shape (6,) needs 6"),
        (np.array([0, 0, np.nan, 0, 0, 0], np.float32), "infinite or not a number: record 0, image 10"),
        (np.zeros(6, np.float16), "features of another type: record 0, image 10 has float16, not float32"),
    ],
)
def test_unusable_features_are_found(tmp_path: pathlib.Path, features: np.ndarray, expected: str) -> None:
    ids = [photo.image_id for split in SPLITS.values() for photo in split]
    sound = {image_id: np.full(6, image_id, np.float32) for image_id in ids}
    fake_shards.write_folder(tmp_path, features=sound)
    record = records.replace_image_with_features(example(10, ["<S>", "a", "</S>"]), features)
    rewrite(tmp_path, "train-00000-of-00002", {0: record})
    assert expected in all_faults(tmp_path)


def test_image_shards_in_place_of_feature_shards_are_found(tmp_path: pathlib.Path) -> None:
    ids = [photo.image_id for split in SPLITS.values() for photo in split]
    fake_shards.write_folder(tmp_path, features={image_id: np.full(6, image_id, np.float32) for image_id in ids})
    rewrite(tmp_path, "train-00000-of-00002", {0: example(10, ["<S>", "a", "</S>"])})
    assert "holds an image without features: record 0, image 10" in all_faults(tmp_path)


def test_feature_shards_in_place_of_image_shards_are_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    record = records.replace_image_with_features(example(10, ["<S>", "a", "</S>"]), np.zeros(6, np.float32))
    rewrite(tmp_path, "train-00000-of-00002", {0: record})
    assert "holds an image without its photograph: record 0, image 10" in all_faults(tmp_path)


def test_a_photograph_in_two_splits_by_id_is_found(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path, SPLITS | {"val": [*SPLITS["val"], SPLITS["train"][3]]})
    fault = only_fault(tmp_path)
    assert "train and val: share 1 image (13)" in fault
    assert "lists of the splits" in fault


def test_a_photograph_in_two_splits_under_two_ids_is_found_by_its_content(tmp_path: pathlib.Path) -> None:
    copy = Photo(77, SPLITS["train"][3].encoded_image, ("a dog runs",))
    fake_shards.write_folder(tmp_path, SPLITS | {"test": [*SPLITS["test"], copy]})
    fault = only_fault(tmp_path)
    assert "test and train: share 1 photograph(s) of the same content under two ids: 77 = 13" in fault
    assert "take one of the two out" in fault


def test_equal_photographs_within_a_split_are_a_note(tmp_path: pathlib.Path) -> None:
    copy = Photo(77, SPLITS["train"][3].encoded_image, ("a dog runs",))
    fake_shards.write_folder(tmp_path, SPLITS | {"train": [*SPLITS["train"], copy]}, layout="pair")
    report = check_folder(str(tmp_path), False, 1)
    assert report.faults == ()
    assert report.notes == ("train: 1 photograph(s) stand under more than one id, for instance 2 images (13, 77).",)


def test_an_id_of_two_records_is_found_in_layout_image(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    rewrite(tmp_path, "train-00000-of-00002", {0: example(11, ["<S>", "a", "</S>"])})
    assert any("train: holds 1 image (11) in more than one record" in fault for fault in found(tmp_path))


def test_an_id_of_two_photographs_is_found_in_layout_pair(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path, SPLITS | {"train": [*photos([10, 11]), Photo(11, b"other", ("a dog",))]}, "pair")
    assert any("train: holds 1 image (11) with different photographs" in fault for fault in found(tmp_path))


def test_captions_files_must_cover_exactly_the_photographs(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "captions_val.json"
    content = json.loads(path.read_text())
    content["images"][0]["id"] = 99
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 21]
    path.write_text(json.dumps(content))
    lacks, surplus = found(tmp_path)
    assert "captions_val.json: lacks 1 image (21) of the shards. | Put back the captions_val.json" in lacks
    assert "captions_val.json: has 1 image (99) that the shards do not hold" in surplus


def test_captions_files_must_hold_as_many_captions_as_the_shards(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "captions_val.json"
    content = json.loads(path.read_text())
    del content["annotations"][0]
    path.write_text(json.dumps(content))
    assert "captions_val.json: has more or fewer captions than the shards for 1 image (21)" in only_fault(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_an_unreadable_captions_file_is_found(tmp_path: pathlib.Path, damage: str) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "captions_val.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text()[:-10])
    assert only_fault(tmp_path).startswith("captions_val.json: ")


def test_files_that_the_manifest_does_not_know_are_notes(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    (tmp_path / "train-00000-of-00007").write_bytes(b"")
    (tmp_path / ".tmp-train-00001-of-00002-17").write_bytes(b"")
    report = check_folder(str(tmp_path), False, 1)
    assert report.faults == ()
    assert "train-00000-of-00007" in report.notes[0]
    assert ".tmp-train-00001-of-00002-17" in report.notes[1]
