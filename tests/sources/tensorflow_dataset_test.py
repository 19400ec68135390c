import io
import json
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data_prep import build_shards
from data_prep.sources.tensorflow_dataset import TensorflowDataset

CAPTIONS = [["A cat .", "Une été"], ["A dog ."], ["One", "Two", "Three"]]


def encoded_image(number, image_format="JPEG"):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), 40 * number, np.uint8)).save(buffer, image_format)
    return buffer.getvalue()


class TinyCaptions(tfds.core.GeneratorBasedBuilder):
    """Three photographs to train on and one to validate on, in the shape of coco_captions."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "image/id": np.int64,
                    "image/filename": tfds.features.Text(),
                    "mask": tfds.features.Image(),
                    "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
                    "title": tfds.features.Text(),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 3), "validation": self._generate_examples(3, 4)}

    def _generate_examples(self, start, stop):
        for number in range(start, stop):
            captions = [*CAPTIONS, ["Val ."]][number]
            yield (
                number,
                {
                    "image": io.BytesIO(encoded_image(number)),
                    "image/id": 500 + number,
                    "image/filename": f"my photo {number}.jpg",
                    "mask": np.zeros((2, 2, 3), np.uint8),
                    "captions": [{"id": k, "text": text} for k, text in enumerate(captions)],
                    "title": f"Title {number}" if number < 3 else b"caf\xe9",
                },
            )


@pytest.fixture(scope="module")
def tfds_data_dir(tmp_path_factory):
    data_dir = str(tmp_path_factory.mktemp("tfds"))
    TinyCaptions(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture
def source(tfds_data_dir, tmp_path):
    def make(**flags):
        folder = os.path.join(tfds_data_dir, "tiny_captions", "1.0.0")
        return TensorflowDataset(**{"dataset": folder, "staging_dir": str(tmp_path / "staging")} | flags)

    return make


def test_photographs_are_exported_as_they_are_encoded(source, tmp_path):
    images = list(source().read())
    assert [i.captions for i in images] == [tuple(c) for c in [*CAPTIONS, ["Val ."]]]
    assert [i.split for i in images] == ["train", "train", "train", "val"]
    assert [i.file_name for i in images] == [
        "train/00000000.jpg",
        "train/00000001.jpg",
        "train/00000002.jpg",
        "val/00000000.jpg",
    ]
    for number, image in enumerate(images):
        assert image.path == str(tmp_path / "staging" / image.file_name)
        with open(image.path, "rb") as file:
            assert file.read() == encoded_image(number)
    assert len({i.image_id for i in images}) == 4


def test_ids_names_and_splits_can_be_the_datasets(source, tfds_data_dir):
    images = source(
        dataset="tiny_captions",
        tfds_data_dir=tfds_data_dir,
        id_feature="image/id",
        name_feature="image/filename",
        captions_feature="title",
        dataset_splits=("train[2:]=test", "validation=train"),
    ).read()
    assert [(i.image_id, i.file_name, i.captions, i.split) for i in images] == [
        (502, "test/my photo 2.jpg", ("Title 2",), "test"),
        (503, "train/my photo 3.jpg", ("caf\udce9",), "train"),
    ]


def test_an_interrupted_export_writes_only_what_is_missing(source, tmp_path):
    photographs = source().read()
    next(photographs)
    staging = tmp_path / "staging"
    (staging / "photographs.jsonl").unlink()
    (staging / "train" / "00000001.jpg").unlink()
    (staging / "train" / "00000002.jpg").write_bytes(b"cut short")
    before = (staging / "train" / "00000000.jpg").stat()
    assert len(list(source().read())) == 4
    after = (staging / "train" / "00000000.jpg").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    for number in range(3):
        assert (staging / "train" / f"{number:08d}.jpg").read_bytes() == encoded_image(number)


def test_a_finished_export_is_read_without_the_dataset(source):
    first = list(source().read())
    index = source(dataset="no_such_dataset")
    with pytest.raises(ValueError, match=r"holds another export; dataset differ"):
        list(index.read())
    assert list(source(tfds_data_dir="/nowhere").read()) == first


def test_png_is_kept_as_png(source, tmp_path):
    (image, *_) = source(image_feature="mask").read()
    assert image.file_name == "train/00000000.png"


def test_captions_that_are_not_utf8_stay_recognisable(source):
    *_, image = source(captions_feature="title").read()
    with pytest.raises(UnicodeEncodeError):
        image.captions[0].encode()
    assert image.captions[0].encode(errors="surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"captions_feature": "captions/words"}, "no feature 'captions/words'; it has captions, image, image/filename"),
        ({"image_feature": "title"}, "--image_feature=title of tiny_captions/1.0.0 is no image"),
        ({"name_feature": "title", "dataset_splits": ("train+train=train",)}, "two photographs of 'train' are called"),
        ({"dataset": "tiny_captionz"}, "--dataset=tiny_captionz is neither a folder .* nor a data set that .* knows: "),
        ({"dataset": "tfds/a/1.0.0"}, "--dataset=tfds/a/1.0.0 is neither a folder with a dataset_info.json nor"),
    ],
)
def test_unfit_features_and_names_are_refused(source, flags, message):
    with pytest.raises(ValueError, match=message):
        list(source(**flags).read())


@pytest.mark.parametrize("split", ["train", "=train"])
def test_split_pairs_are_checked_first(source, split):
    with pytest.raises(ValueError, match="is not of the form THEIRS=OURS"):
        source(dataset_splits=(split,))
    with pytest.raises(ValueError, match="'held_out' is no name of a split"):
        source(dataset_splits=("test=held_out",))


def test_a_dataset_that_is_not_prepared_is_not_downloaded_unasked(source, tmp_path):
    unprepared = source(dataset="tiny_captions", tfds_data_dir=str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=r"tiny_captions/1\.0\.0 is not prepared in .*Give --download to have"):
        list(unprepared.read())
    assert not (tmp_path / "staging").exists()
    downloading = source(dataset="tiny_captions", tfds_data_dir=str(tmp_path / "empty"), download=True)
    assert len(list(downloading.read())) == 4


def test_shards_are_built_from_the_export(tfds_data_dir, tmp_path, capsys):
    build_shards.main(
        [
            "tensorflow_dataset",
            f"--dataset={tfds_data_dir}/tiny_captions/1.0.0",
            f"--staging_dir={tmp_path / 'staging'}",
            f"--output_dir={tmp_path / 'out'}",
            "--id_feature=image/id",
            "--dataset_splits",
            "train=train",
            "--min_word_count=1",
            "--num_workers=1",
        ]
    )
    assert "train: 3 photographs, 6 captions" in capsys.readouterr().out
    references = json.loads((tmp_path / "out" / "captions_train.json").read_text())
    assert [image["id"] for image in references["images"]] == [500, 501, 502]
