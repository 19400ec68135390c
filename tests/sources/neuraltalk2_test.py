import json

import pytest

from data_prep.sources.base import stable_image_id
from data_prep.sources.neuraltalk2 import Neuraltalk2


def read(tmp_path, content):
    path = tmp_path / "input.json"
    path.write_text(json.dumps(content))
    return list(Neuraltalk2(str(path), "/photos").read())


def test_photographs_keep_their_id_or_get_one_from_their_path(tmp_path):
    with_id, without = read(
        tmp_path,
        [
            {"file_path": "val2014/a.jpg", "captions": ["A dog .", "A cat ."], "id": 42},
            {"file_path": "b.png", "captions": []},
        ],
    )
    assert (with_id.image_id, with_id.path, with_id.captions) == (42, "/photos/val2014/a.jpg", ("A dog .", "A cat ."))
    assert with_id.split is None  # Divided by --split_by, as prepro.py divides at random.
    assert (without.image_id, without.captions) == (stable_image_id("b.png"), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "is no list of photographs"),
        ([{"captions": []}], r"\[0\]: lacks 'file_path'"),
        ([{"file_path": "a.jpg", "captions": [3]}], r"\[0\]: 'captions' holds '3'; needs strings"),
        ([{"file_path": "a.jpg", "captions": [], "id": "3"}], r"\[0\]: 'id' is '3', of type str; needs int"),
        ([{"file_path": "a.jpg", "captions": []}] * 2, r"\[1\]: a.jpg, or its id \d+, stands twice"),
        (
            [{"file_path": "a.jpg", "captions": [], "id": 1}, {"file_path": "b.jpg", "captions": [], "id": 1}],
            r"\[1\]: b.jpg, or its id 1, stands twice",
        ),
        (
            [{"file_path": "../a.jpg", "captions": []}],
            r"\[0\]: The photograph's name '../a.jpg' is not of a file inside",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)
