"""The shards are written as the original im2txt writes them: TensorFlow's protocol buffers, one caption per record."""

import errno
import json
import pathlib

import pytest
import tensorflow as tf
from fake_shards import jpeg

from data_prep import adopt_shards, verify_data
from im2txt.configuration import InputConfig
from im2txt.images import preprocessing
from im2txt.shards import input_pipeline, references
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage

# The order of <S> and </S> differs from ours, and builds under Python 3 wrote words like the last.
WORD_COUNTS = "a 8\n</S> 6\n<S> 6\ndog 4\n. 4\nruns 3\nb'is' 2\nb\"n't\" 2"
IDS = {"a": 0, "</S>": 1, "<S>": 2, "dog": 3, ".": 4, "runs": 5, "is": 6, "n't": 7}
UNKNOWN_ID = 8
TRAIN = ((1, "a dog runs ."), (1, "a dog is n't a cat ."), (2, "a cat sleeps"), (3, "a dog runs ."), (2, "a dog ."))
VAL = ((9, "a dog is n't a dog ."),)


def sequence_example(image_id: int, caption: str) -> bytes:
    words = ["<S>", *caption.split(), "</S>"]
    context = tf.train.Features(
        feature={
            "image/image_id": tf.train.Feature(int64_list=tf.train.Int64List(value=[image_id])),
            "image/data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg(image_id)])),
        }
    )
    word_features = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[word.encode()])) for word in words]
    ids = [IDS.get(word, UNKNOWN_ID) for word in words]
    id_features = [tf.train.Feature(int64_list=tf.train.Int64List(value=[i])) for i in ids]
    lists = tf.train.FeatureLists(
        feature_list={
            "image/caption": tf.train.FeatureList(feature=word_features),
            "image/caption_ids": tf.train.FeatureList(feature=id_features),
        }
    )
    return tf.train.SequenceExample(context=context, feature_lists=lists).SerializeToString()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for split, captions in (("train", TRAIN), ("val", VAL)):
        for i in range(2):
            with tf.io.TFRecordWriter(str(tmp_path / f"{split}-{i:05d}-of-00002")) as writer:
                for image_id, caption in captions[i::2]:
                    writer.write(sequence_example(image_id, caption))
    (tmp_path / "word_counts.txt").write_text(WORD_COUNTS)
    return tmp_path


def adopt(folder: pathlib.Path, *more: str) -> int:
    return adopt_shards.main([f"--data_dir={folder}", *more])


def test_an_adopted_folder_is_sound_and_its_numbers_are_those_of_the_captions(folder: pathlib.Path) -> None:
    shards = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert adopt(folder) == 0
    assert {name: (folder / name).read_bytes() for name in shards} == shards
    assert verify_data.main([f"--data_dir={folder}", "--decode_images"]) == 0
    adopted = ShardFolder.open(str(folder)).manifest
    assert adopted.layout == "pair"
    assert adopted.tokenizer == "treebank"
    train = adopted.split("train")
    assert (train.images, train.captions, train.examples) == (3, 5, 5)
    assert train.captions_per_image == {1: 1, 2: 2}
    assert train.words == sum(len(caption.split()) + 1 for _, caption in TRAIN)
    assert train.unknown_words == 3
    assert adopted.split("val").images == 1


def test_captions_are_put_together_again_and_say_so(folder: pathlib.Path) -> None:
    adopt(folder)
    train = references.read_references(str(folder), "train")
    assert set(train.captions[1]) == {"a dog runs.", "a dog isn't a cat."}
    assert set(train.captions[2]) == {"a cat sleeps", "a dog."}
    assert train.file_names == {1: "1", 2: "2", 3: "3"}
    description = json.loads((folder / "captions_train.json").read_text())["info"]["description"]
    assert "put together again from the words" in description


def test_training_reads_an_adopted_folder(folder: pathlib.Path) -> None:
    adopt(folder)
    batches = input_pipeline.training_batches(
        ShardFolder.open(str(folder)),
        InputConfig(data_dir=str(folder), batch_size=5, captions_per_image=1),
        preprocessing.ImageFormat(image_size=16, crop_fraction=1.0),
        seed=1,
    )
    batch = next(iter(batches))
    targets = batch["target_ids"].numpy()
    captions = {tuple(row[mask].tolist()) for row, mask in zip(targets, batch["mask"].numpy(), strict=True)}
    assert captions <= {tuple(IDS.get(w, UNKNOWN_ID) for w in (*c.split(), "</S>")) for _, c in TRAIN}
    assert batch["images"].shape == (5, 16, 16, 3)


def test_a_vocabulary_elsewhere_is_copied_beside_the_shards(folder: pathlib.Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "word_counts.txt").rename(elsewhere / "counts.txt")
    with pytest.raises(FileNotFoundError, match=r"No vocabulary .*word_counts\.txt.*--word_counts_file=PATH"):
        adopt(folder)
    assert adopt(folder, f"--word_counts_file={elsewhere}/counts.txt") == 0
    assert (folder / "word_counts.txt").read_text() == WORD_COUNTS


def test_shards_of_another_vocabulary_are_not_adopted(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "word_counts.txt").write_text(WORD_COUNTS.replace("dog 4\n. 4", ". 4\ndog 4"))
    assert adopt(folder) == 1
    printed = capsys.readouterr().out
    assert "FAULT  train-00000-of-00002: holds a word whose id is another word's" in printed
    assert "Put back the word_counts.txt" in printed
    assert not (folder / "manifest.json").exists()


def test_a_damaged_shard_is_not_adopted(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "train-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-1])
    assert adopt(folder) == 1
    assert "train-00001-of-00002: is damaged: record 1" in capsys.readouterr().out
    assert not (folder / "manifest.json").exists()


def test_a_photograph_in_two_splits_is_told(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tf.io.TFRecordWriter(str(folder / "test-00000-of-00001")) as writer:
        writer.write(sequence_example(3, "a dog ."))
    assert adopt(folder) == 0
    assert "note   test and train share 1 image (3)." in capsys.readouterr().out


def test_one_id_for_two_photographs_is_not_adopted(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = sequence_example(7, "a dog .").replace(
        b"image/image_id\x12\x05\x1a\x03\n\x01\x07", b"image/image_id\x12\x05\x1a\x03\n\x01\x03"
    )
    with tf.io.TFRecordWriter(str(folder / "test-00000-of-00001")) as writer:
        writer.write(sequence_example(3, "a dog ."))
        writer.write(other)
    assert adopt(folder) == 1
    assert "test: holds 1 image (3) with different photographs" in capsys.readouterr().out


def test_missing_shards_are_named(folder: pathlib.Path) -> None:
    (folder / "train-00001-of-00002").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 4 shards, the first being train-00001-of-00002\. Copy"):
        adopt(folder)


def test_a_folder_without_shards_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No shard matches .*train-00000-of-00256"):
        adopt(tmp_path)


def test_a_folder_with_a_manifest_is_left_alone(folder: pathlib.Path) -> None:
    adopt(folder)
    with pytest.raises(ValueError, match=r"has a manifest\.json already.*verify_data"):
        adopt(folder)


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_shards_are_read(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(storage, "write_bytes", refuse)
    (folder / "train-00001-of-00002").write_bytes(b"never read")
    with pytest.raises(RuntimeError, match=r"cannot be written to \(Read-only file system\).*mkdir shards && ln -s"):
        adopt(folder)


def test_a_folder_of_links_can_be_adopted(folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    links = tmp_path_factory.mktemp("shards")
    for path in folder.iterdir():
        (links / path.name).symlink_to(path)
    assert adopt(links) == 0
    assert not (folder / "manifest.json").exists()
    assert verify_data.main([f"--data_dir={links}"]) == 0
