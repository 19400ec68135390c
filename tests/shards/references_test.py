import json

import pytest

from im2txt.shards import references

REFERENCES = references.References(
    file_names={42: "b c.jpg", 7: "ä/a.jpg"}, captions={42: ["A dog.", "Ein Hund — läuft"], 7: ["A  cat ."]}
)


def test_what_is_written_is_read_in_its_order(tmp_path):
    references.write_references(str(tmp_path), "val", REFERENCES)
    read = references.read_references(str(tmp_path), "val")
    assert read == REFERENCES
    assert list(read.captions) == [42, 7]


def test_the_file_is_a_coco_captions_file(tmp_path):
    references.write_references(str(tmp_path), "val", REFERENCES)
    content = json.loads((tmp_path / "captions_val.json").read_text())
    assert content["images"] == [{"id": 42, "file_name": "b c.jpg"}, {"id": 7, "file_name": "ä/a.jpg"}]
    assert content["annotations"] == [
        {"id": 0, "image_id": 42, "caption": "A dog."},
        {"id": 1, "image_id": 42, "caption": "Ein Hund — läuft"},
        {"id": 2, "image_id": 7, "caption": "A  cat ."},
    ]


def test_a_missing_file_says_who_writes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="captions_test.json: scoring needs"):
        references.read_references(str(tmp_path), "test")


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [], "annotations": [{"image_id": 1}]}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "captions_test.json").write_text(text)
    with pytest.raises(ValueError, match="captions_test.json is not a COCO captions file"):
        references.read_references(str(tmp_path), "test")
