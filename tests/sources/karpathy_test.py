import json

import pytest

from data_prep.sources.karpathy import Karpathy


def write_dataset(path, images, dataset="coco"):
    path.write_text(json.dumps({"dataset": dataset, "images": images}, ensure_ascii=False))
    return str(path)


def record(filename, split="train", raws=("A dog runs .",), **fields):
    sentences = [{"tokens": raw.lower().split(), "raw": raw, "imgid": 0, "sentid": n} for n, raw in enumerate(raws)]
    return {"filename": filename, "imgid": 0, "split": split, "sentids": [0], "sentences": sentences, **fields}


def test_coco_photographs_keep_their_id_folder_and_split(tmp_path):
    images = [
        record("COCO_val2014_000000391895.jpg", "test", ["A man .", "Ein Mann\n"], filepath="val2014", cocoid=391895),
        record("COCO_val2014_000000522418.jpg", "restval", filepath="val2014", cocoid=522418),
        record("COCO_train2014_000000000009.jpg", "train", filepath="train2014", cocoid=9),
    ]
    read = list(Karpathy(write_dataset(tmp_path / "d.json", images), "/coco").read())
    assert [(i.image_id, i.split) for i in read] == [(391895, "test"), (522418, "restval"), (9, "train")]
    assert read[0].path == "/coco/val2014/COCO_val2014_000000391895.jpg"
    assert read[0].file_name == "val2014/COCO_val2014_000000391895.jpg"
    assert read[0].captions == ("A man .", "Ein Mann\n")


def test_flickr_photographs_have_the_number_of_their_name(tmp_path):
    images = [record("1000268201_693b08cb0e.jpg", "val"), record("3385593926_d3e9c21170.jpg")]
    read = list(Karpathy(write_dataset(tmp_path / "d.json", images, "flickr8k"), "/flickr").read())
    assert [(i.image_id, i.file_name, i.path, i.split) for i in read] == [
        (1000268201, "1000268201_693b08cb0e.jpg", "/flickr/1000268201_693b08cb0e.jpg", "val"),
        (3385593926, "3385593926_d3e9c21170.jpg", "/flickr/3385593926_d3e9c21170.jpg", "train"),
    ]


def test_raw_sentences_are_the_captions_and_not_the_tokens(tmp_path):
    images = [record("1_a.jpg", raws=["Cloud-wreathed, isn't it?"])]
    (image,) = Karpathy(write_dataset(tmp_path / "d.json", images), "/f").read()
    assert image.captions == ("Cloud-wreathed, isn't it?",)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([record("a.jpg", cocoid=1), record("b.jpg", cocoid=1)], r"images\[1\]: b\.jpg stands twice"),
        ([record("1_a.jpg"), record("1_a.jpg")], r"images\[1\]: 1_a\.jpg stands twice"),
        ([record("a.jpg", cocoid="9")], r"images\[0\]: 'cocoid' is '9', of type str; needs int"),
        ([record("a.jpg", split="dev")], r"images\[0\]: 'split' is 'dev'; known are train, val, test, restval"),
        ([record("a.jpg", filepath="../x")], r"images\[0\]: .*'\.\./x/a\.jpg' is not of a file inside"),
        ([record("a.jpg", filepath="/etc")], r"images\[0\]: .*'/etc/a\.jpg' is not of a file inside"),
        ([record("a.jpg") | {"sentences": [{"text": "a"}]}], r"images\[0\]: lacks 'raw'; it has \['text'\]"),
        ([{"id": 1, "file_name": "a.jpg"}], r"images\[0\]: lacks 'filename'; it has \['file_name', 'id'\]"),
    ],
)
def test_bad_records_are_refused_with_their_place(tmp_path, images, message):
    with pytest.raises(ValueError, match=rf"d\.json, {message}"):
        list(Karpathy(write_dataset(tmp_path / "d.json", images), "/f").read())


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "d.json"
    path.write_text('{"annotations": []}')
    with pytest.raises(ValueError, match=r"d\.json is not one of Karpathy's files: lacks 'images'"):
        list(Karpathy(str(path), "/f").read())
