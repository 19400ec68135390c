"""Captions of drawn scenes judged, against verdicts by hand."""

import json
import pathlib

import pytest

from data_prep import check_scenes
from im2txt.shards.references import References, write_references

RED_CIRCLE_BLUE_STAR = [("circle", "red"), ("star", "blue")]


@pytest.mark.parametrize(
    ("caption", "right_in"),
    [
        ("a red circle to the left of a blue star", "shape colour both complete"),
        ("A blue STAR.", "shape colour both"),
        ("the star is blue and the circle is red", "shape colour both complete"),
        ("a blue circle and a red star", "shape colour"),  # Both there, but not so.
        ("a blue circle", "shape colour"),
        ("a green circle", "shape"),
        ("a red square", "colour"),
        ("a red circle and a green star", "shape"),
        ("a red circle and a blue square", "colour"),
        ("a circle", "shape"),  # Without a colour, none is right.
        ("a circle and a blue star", "shape"),
        ("a red circle and a red circle", ""),  # There is one circle and one red thing.
        ("a red circle , a blue star and a blue star", ""),
        ("red and blue", ""),
        ("a picture", ""),
        ("", ""),
    ],
)
def test_a_caption_is_right_if_all_it_names_is_there(caption: str, right_in: str) -> None:
    verdict = check_scenes.judge(caption, RED_CIRCLE_BLUE_STAR)
    assert [measure for measure, right in verdict.items() if right] == right_in.split()


def test_best_constant_is_the_commonest_single_shape() -> None:
    looks = {
        1: [("circle", "red")],
        2: [("circle", "blue"), ("star", "green")],
        3: [("circle", "blue"), ("star", "red")],
        4: [("square", "red")],
    }
    # Circles in 3 of 4, red in 3 of 4, blue circles in 2 of 4, one lone red circle (or square).
    assert check_scenes.best_constant_shares(looks) == {"shape": 0.75, "colour": 0.75, "both": 0.5, "complete": 0.25}


class Files:
    """Scenes, references and captions of four pictures, the fourth in another split."""

    def __init__(self, folder: pathlib.Path):
        self.captions = folder / "run" / "captions.json"
        self.scenes = folder / "captions.jsonl"
        self.data_dir = folder / "shards"
        self.captions.parent.mkdir()
        self.data_dir.mkdir()
        truth = {
            "1.jpg": ("circle", "red"),
            "2.jpg": ("star", "blue"),
            "3.jpg": ("moon", "white"),
            "4.jpg": ("star", "red"),
        }
        lines = [
            json.dumps({"path": path, "captions": [], "shapes": [{"shape": shape, "colour": colour}]})
            for path, (shape, colour) in truth.items()
        ]
        self.scenes.write_text("\n".join(lines))
        names = {11: "1.jpg", 12: "2.jpg", 13: "3.jpg"}
        write_references(str(self.data_dir), "test", References(names, {image_id: ["x"] for image_id in names}))
        self.write({11: "a red circle", 12: "a red star", 13: "a black moon"})

    def write(self, captions: dict[int, str]) -> None:
        self.captions.write_text(json.dumps([{"image_id": i, "caption": c} for i, c in captions.items()]))

    def check(self) -> None:
        check_scenes.main([f"--scenes={self.scenes}", f"--captions={self.captions}", f"--data_dir={self.data_dir}"])


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    return Files(tmp_path)


def test_the_shares_are_printed_and_written_beside_the_captions(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.check()
    scores = json.loads((files.captions.parent / "scene_scores.json").read_text())
    assert (scores["split"], scores["num_images"]) == ("test", 3)
    assert scores["right"] == pytest.approx({"shape": 1, "colour": 1 / 3, "both": 1 / 3, "complete": 1 / 3})
    assert scores["best_constant"] == pytest.approx(dict.fromkeys(check_scenes.MEASURES, 1 / 3))
    printed = capsys.readouterr().out
    assert "test, 3 scenes" in printed
    assert ["shape", "100.0%", "33.3%"] in [line.split() for line in printed.splitlines()]


def test_captions_of_pictures_that_are_no_scenes_are_refused(files: Files) -> None:
    files.write({11: "a red circle", 99: "a star"})
    with pytest.raises(ValueError, match=r"image 99 is None in split 'test'.*Name the scenes of these shards"):
        files.check()
    files.write({11: "a red circle"})
    files.scenes.write_text(json.dumps({"path": "elsewhere/1.jpg", "shapes": []}))
    with pytest.raises(ValueError, match=r"image 11 is '1.jpg'.*no picture in"):
        files.check()


@pytest.mark.parametrize("content", ["[{]", "[1]", '[{"image_id": 3}]', '[{"image_id": 3, "caption": null}]', "{}x"])
def test_a_damaged_captions_file_is_named(files: Files, content: str) -> None:
    files.captions.write_text(content)
    with pytest.raises(ValueError, match=r"captions.json is not of the form"):
        files.check()


def test_captions_must_be_there_once_per_picture(files: Files) -> None:
    files.captions.write_text("[]")
    with pytest.raises(ValueError, match="holds 0 captions of 0 images"):
        files.check()
    files.captions.write_text(json.dumps([{"image_id": 11, "caption": "a"}] * 2))
    with pytest.raises(ValueError, match="holds 2 captions of 1 images"):
        files.check()


def test_a_line_that_is_no_scene_is_named(files: Files) -> None:
    files.scenes.write_text(files.scenes.read_text().replace('"shapes"', '"things"', 1))
    with pytest.raises(ValueError, match="captions.jsonl, line 1: no scene of"):
        files.check()
