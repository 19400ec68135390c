import json

import pytest

from im2txt.inference.caption_files import match_images, read_annotations, read_results


@pytest.fixture
def write(tmp_path):
    def write(content: object) -> str:
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def annotations(images, captions):
    return {
        "images": [{"id": image_id, "file_name": "x.jpg"} for image_id in images],
        "annotations": [{"id": i, "image_id": image_id, "caption": c} for i, (image_id, c) in enumerate(captions)],
    }


def test_results_and_references_are_read_by_image(write) -> None:
    assert read_results(write([{"image_id": 7, "caption": "a dog"}, {"image_id": 3, "caption": ""}])) == {
        7: "a dog",
        3: "",
    }
    references = read_annotations(write(annotations([5, 3], [(3, "a"), (5, "b"), (3, "c")])))
    assert list(references.items()) == [(5, ["b"]), (3, ["a", "c"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "file.json is cut short or not JSON.*results look like"),
        ("[" * 200_000, "file.json is not what it should be: .* nested without end; the results look like"),
        ('[{"image_id": 7, "caption": "a \\ud800"}]', r"the caption of image 7 holds '\\ud800', which is no character"),
        ({"images": []}, "no COCO results file, which looks like"),
        ([{"image_id": "7", "caption": "a"}], "whole numbers as ids"),
        ([{"image_id": True, "caption": "a"}], "no COCO results file"),
        ([{"image_id": 7, "caption": None}], "no COCO results file"),
        ([{"image_id": 7}], "no COCO results file"),
        ([], "holds no captions: there is nothing to score"),
        (
            [{"image_id": i, "caption": "a"} for i in (7, 8, 7, 9, 9)],
            r"more than one caption of images: 7, 9\. Keep one",
        ),
    ],
)
def test_a_file_that_is_no_results_is_refused(write, content, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_results(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2", "file.json is cut short or not JSON.*references look like"),
        ([{"image_id": 7, "caption": "a"}], "no file of COCO caption annotations, which looks like"),
        ({"images": [{"id": 1}]}, "no file of COCO caption annotations"),
        ({"images": [1], "annotations": []}, "no file of COCO caption annotations"),
        ({"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": []}]}, "no file of COCO caption annotations"),
        (annotations([1], [(1, "a"), (1, "\udfff")]), "the caption of image 1 holds"),
        ({"images": [], "annotations": []}, "lists no images: there is nothing to score"),
        (annotations([1], [(1, "a"), (2, "b"), (2, "c")]), r"captions of images that it does not list: 2\."),
    ],
)
def test_a_file_that_is_no_annotations_is_refused(write, content, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_annotations(write(content))


def test_the_byte_order_mark_of_some_editors_is_passed_over(write) -> None:
    assert read_results(write("\ufeff" + json.dumps([{"image_id": 7, "caption": "a dog"}]))) == {7: "a dog"}


def test_images_that_have_no_reference_do_not_count_as_images_with_references() -> None:
    with pytest.raises(ValueError, match=r"None of 1 results .* of which there are 0: .* the references of none\.$"):
        match_images({1: "a"}, {1: [], 2: []})


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No .*none\.json: the results are read from there"):
        read_results(str(tmp_path / "none.json"))
    with pytest.raises(FileNotFoundError, match=r"No .*captions\.json: .* where the photographs' ids are whole"):
        read_results(str(tmp_path))


def test_what_cannot_be_scored_is_left_out_and_told() -> None:
    results = {9: "x", 1: "a", 2: "b", 3: "c"}
    scored = match_images(results, {3: ["c"], 4: ["d"], 2: [], 1: ["a", "aa"]})
    assert list(scored.references.items()) == [(3, ["c"]), (1, ["a", "aa"])]
    assert scored.hypotheses == {1: "a", 3: "c"}
    assert list(map(str, scored.excluded)) == [
        "1 results of images that are not among the references: 9",
        "1 images without a result: 4",
        "1 images without references: 2",
    ]


def test_nothing_left_to_score_is_an_error_that_shows_both_ids() -> None:
    with pytest.raises(ValueError, match=r"None of 1 results .* images 1; the references of 2\.$"):
        match_images({1: "a"}, {2: ["b"], 3: []})


def test_nothing_is_left_out_where_all_images_are_there() -> None:
    assert match_images({1: "a"}, {1: ["b"]}).excluded == []
