import collections
import json

import pytest

from data_prep.sources.coco import Coco, original_val_split


def write_captions(path, images, annotations):
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    path.write_text(json.dumps(content))
    return str(path)


def image(image_id, file_name):
    return {"id": image_id, "file_name": file_name, "license": 3, "width": 640, "height": 480}


def annotation(image_id, caption, caption_id=0):
    return {"id": caption_id, "image_id": image_id, "caption": caption}


@pytest.fixture
def train_file(tmp_path):
    images = [image(9, "COCO_train2014_000000000009.jpg"), image(2, "Köln am Rhein.jpg")]
    annotations = [annotation(2, "Une gare à Köln.\n"), annotation(9, 'A "sign" .'), annotation(2, "A station")]
    return write_captions(tmp_path / "captions_train.json", images, annotations)


def test_captions_join_their_photographs_in_the_files_order(train_file):
    nine, two = Coco(train_captions_file=train_file, train_images_dir="/coco/train2014").read()
    assert (nine.image_id, nine.captions, nine.split) == (9, ('A "sign" .',), "train")
    assert nine.file_name == "COCO_train2014_000000000009.jpg"
    assert nine.path == "/coco/train2014/COCO_train2014_000000000009.jpg"
    assert (two.image_id, two.captions) == (2, ("Une gare à Köln.\n", "A station"))
    assert two.path == "/coco/train2014/Köln am Rhein.jpg"


def test_each_file_is_a_split(tmp_path, train_file):
    files = {"train_captions_file": train_file, "train_images_dir": "t"}
    for number, split in enumerate(["val", "test"]):
        path = write_captions(
            tmp_path / f"{split}.json", [image(100 + number, "a.jpg")], [annotation(100 + number, "x")]
        )
        files |= {f"{split}_captions_file": path, f"{split}_images_dir": split}
    by_file = [(i.image_id, i.split) for i in Coco(**files).read()]
    assert by_file == [(9, "train"), (2, "train"), (100, "val"), (101, "test")]


def test_the_original_split_cuts_val2014_where_im2txt_did():
    splits = [original_val_split(position, 40_504) for position in range(40_504)]
    assert splits == ["train"] * 34_428 + ["val"] * 2_025 + ["test"] * 4_051


def test_the_original_split_joins_train2014_with_most_of_val2014(tmp_path, train_file):
    val_images = [image(1000 + n, f"v{n}.jpg") for n in range(40)]
    val_file = write_captions(tmp_path / "v.json", val_images, [annotation(1000 + n, "a") for n in reversed(range(40))])
    source = Coco(
        train_captions_file=train_file,
        train_images_dir="t",
        val_captions_file=val_file,
        val_images_dir="v",
        split="im2txt",
    )
    ids = collections.defaultdict(list)
    for captioned in source.read():
        ids[captioned.split].append(captioned.image_id)
    assert ids == {"train": [9, 2, *range(1000, 1034)], "val": [1034, 1035], "test": [1036, 1037, 1038, 1039]}


def test_a_photograph_without_captions_is_yielded_without(tmp_path):
    path = write_captions(tmp_path / "c.json", [image(1, "a.jpg")], [])
    assert [i.captions for i in Coco(train_captions_file=path, train_images_dir="t").read()] == [()]


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([image(1, "a.jpg"), image(1, "b.jpg")], [], r"images\[1\]: id 1 stands twice"),
        ([image("1", "a.jpg")], [], r"images\[0\]: 'id' is '1', of type str; needs int"),
        ([image(1.0, "a.jpg")], [], r"images\[0\]: 'id' is '1.0', of type float; needs int"),
        ([image(True, "a.jpg")], [], r"images\[0\]: 'id' is 'True', of type bool; needs int"),
        ([image(-1, "a.jpg")], [], r"images\[0\]: 'id' is -1; needs an id in \[0, 2\*\*63\)"),
        ([image(2**63, "a.jpg")], [], r"images\[0\]: 'id' is 9223372036854775808; needs"),
        ([image(1, "../a.jpg")], [], r"images\[0\]: .*'\.\./a.jpg' is not of a file inside"),
        ([image(1, "a\ud800.jpg")], [], r"images\[0\]: the photograph's name 'a\\ud800.jpg' is no Unicode text"),
        ([image(1, None)], [], r"images\[0\]: 'file_name' is 'None', of type NoneType; needs str"),
        ([{"id": 1}], [], r"images\[0\]: lacks 'file_name'; it has \['id'\]"),
        (["a.jpg"], [], r"images\[0\]: 'a.jpg' is no JSON object"),
        ([image(1, "a.jpg")], [annotation("1", "a")], r"annotations\[0\]: 'image_id' is '1', of type str; needs int"),
        ([image(1, "a.jpg")], [annotation(2, "a")], r"annotations\[0\]: image_id 2 is the id of none"),
        ([image(1, "a.jpg")], [annotation(1, ["a"])], r"annotations\[0\]: 'caption' is .*of type list; needs str"),
        ([image(1, "a.jpg")], [{"image_id": 1, "bbox": []}], r"annotations\[0\]: lacks 'caption'; it has \['bbox'"),
    ],
)
def test_bad_records_are_refused_with_their_place(tmp_path, images, annotations, message):
    path = write_captions(tmp_path / "c.json", images, annotations)
    with pytest.raises(ValueError, match=rf"c\.json, {message}"):
        list(Coco(train_captions_file=path, train_images_dir="t").read())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"is not a COCO captions file: '\[\]' is no JSON object"),
        ('{"images": []}', "is not a COCO captions file: lacks 'annotations'"),
        ('{"images": {}, "annotations": []}', "is not a COCO captions file: 'images' is .*of type dict; needs list"),
        ('{"images": [', "is cut short or not JSON"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"c\.json {message}"):
        list(Coco(train_captions_file=str(path), train_images_dir="t").read())


def test_an_id_in_two_files_is_refused(tmp_path, train_file):
    val_file = write_captions(tmp_path / "val.json", [image(2, "b.jpg")], [annotation(2, "a")])
    source = Coco(train_captions_file=train_file, train_images_dir="t", val_captions_file=val_file, val_images_dir="v")
    with pytest.raises(ValueError, match=r"Image id 2 stands in .*captions_train\.json and again in .*val\.json"):
        list(source.read())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "No captions file"),
        ({"val_captions_file": "v.json"}, "--val_captions_file and --val_images_dir go together"),
        ({"test_images_dir": "t"}, "--test_captions_file and --test_images_dir go together"),
        ({"train_captions_file": "c", "train_images_dir": "t", "split": "im2txt"}, "needs the train and the val file"),
    ],
)
def test_incomplete_flags_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        Coco(**flags)
