"""The report's page of a run's folder that is made by hand."""

import base64
import html.parser
import io
import json
import pathlib
import re
from typing import Any

import fake_shards
import numpy as np
import pytest
from PIL import Image

from im2txt import report

NASTY = 'a <b>dog</b> & "cat" <script>alert(1)</script>'
VOID = {"meta", "img", "path", "br"}


class Page(html.parser.HTMLParser):
    """Checks that tags nest and close; collects text, tags and addresses."""

    def __init__(self, text: str):
        super().__init__()
        self.source = text
        self.open: list[str] = []
        self.tags: list[str] = []
        self.parts: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    @property
    def cards(self) -> list[str]:
        return self.source.split("<article>")[1:]


def candidate(caption: str, log_prob: float, is_complete: bool = True) -> dict[str, Any]:
    return {"caption": caption, "log_prob": log_prob, "score": log_prob / 4, "is_complete": is_complete}


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run with everything; photographs 31, 32, 33 of the split `test`."""
    data_dir, run = tmp_path / "shards", tmp_path / "my <run>"
    fake_shards.write_folder(data_dir)
    results = run / "evaluation" / "test"
    results.mkdir(parents=True)
    config = {
        "input": {"data_dir": str(data_dir)},
        "encoder": {"backbone": "SmallCNN"},
        "decoder": {"num_lstm_units": 96},
    }
    (run / "config.json").write_text(json.dumps(config))
    rows: list[dict[str, Any]] = [
        {"kind": "train", "step": 100 * i, "epoch": i / 10, "loss": 5.0 - i / 10} for i in range(1, 41)
    ]
    rows += [{"kind": "val", "step": 1000 * i, "epoch": i, "loss": loss} for i, loss in enumerate((4, 2, 2.5, 3), 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda r: r["step"])))
    names = {"CIDEr-D": 1.8, "BLEU-4": 0.4, "mean_length": 7.25}
    scores = {
        "split": "test", "step": 4000, "checkpoint": "best/1", "perplexity": 7.389, "beam_size": 3, "num_images": 3,
        "scores": names,
        "floor": {"caption": NASTY, "scores": {"CIDEr-D": 0.3, "BLEU-4": 0.1, "mean_length": 12.0}},
        "human": {"scores": {"CIDEr-D": 2.5, "BLEU-4": 0.5}},
    }  # fmt: skip
    (results / "scores.json").write_text(json.dumps(scores))
    captions = {31: [candidate(NASTY, -1.25), candidate("a cat", -2.5, False)], 32: [candidate("a dog", -0.5)], 33: []}
    entries = [{"image_id": i, "file_name": f"{i}.jpg", "captions": of_image} for i, of_image in captions.items()]
    (results / "candidates.json").write_text(json.dumps(entries))
    shares = {"shape": 0.91, "colour": 0.5, "both": 0.25, "complete": 0.125}
    (results / "scene_scores.json").write_text(
        json.dumps({"split": "test", "num_images": 3, "right": shares, "best_constant": dict.fromkeys(shares, 0.0625)})
    )
    return run


def write(workdir: pathlib.Path, *flags: str) -> Page:
    report.main([f"--workdir={workdir}", *flags])
    return Page((workdir / "report.html").read_text())


def test_the_page_stands_alone(workdir: pathlib.Path) -> None:
    page = write(workdir)
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_what_comes_from_files_is_escaped(workdir: pathlib.Path) -> None:
    page = write(workdir)
    assert page.text.count(NASTY) == 2  # The caption of photograph 31, and the constant one.
    assert "my <run>" in page.text
    assert "<script" not in page.source


def test_scores_stand_next_to_floor_and_people(workdir: pathlib.Path) -> None:
    text = write(workdir).text
    assert "6.0 × CIDEr-D, times the constant caption's" in text
    assert "7.39 perplexity per word" in text
    assert "CIDEr-D 1.800 0.300 · 2.500" in text
    assert "BLEU-4 0.400 0.100 · 0.500" in text
    assert "mean length 7.25 12" in text
    assert "3 photographs of test, step 4,000, beam of 3" in text


def test_the_shares_of_right_captions_stand_next_to_the_constants(workdir: pathlib.Path) -> None:
    text = write(workdir).text
    assert "shape: every shape named is there 91.0% 6.2%" in text
    (workdir / "evaluation/test/scene_scores.json").unlink()
    assert "Captions that are right" not in write(workdir).text


def test_a_bar_is_as_long_as_its_share_of_the_longest(workdir: pathlib.Path) -> None:
    source = write(workdir).source
    # CIDEr-D: 1.8 of 2.5, the people's; marks at 0.3 and 2.5 of 2.5.
    assert '<div style="width:72.00%"></div><i class="floor" style="left:12.00%"' in source
    assert '<i class="human" style="left:100.00%" title="2.500">' in source


def test_curves_go_through_the_losses(workdir: pathlib.Path) -> None:
    source = write(workdir).source
    paths = dict(re.findall(r'<path class="(train|val)" d="M([^"]+)"/>', source))
    coordinates = {
        kind: np.array([[float(number) for number in point.split()] for point in path.split("L")])
        for kind, path in paths.items()
    }
    # Losses of 1 to 4.9: the axis goes from 1 to 5, loss 5 at the top (0) and 1 at the bottom (1000).
    np.testing.assert_allclose(coordinates["val"], [[250, 250], [500, 750], [750, 625], [1000, 500]])
    np.testing.assert_allclose(coordinates["train"][[0, -1]], [[25, 25], [1000, 1000]])
    assert len(coordinates["train"]) == 40
    assert "step 2,000: loss 2.000, perplexity 7.39" in source


def test_the_best_validation_is_named(workdir: pathlib.Path) -> None:
    assert "validation, best 2.000 at step 2,000 (perplexity 7.39)" in write(workdir).text


def test_a_card_shows_photograph_captions_and_references(workdir: pathlib.Path) -> None:
    page = write(workdir)
    (card,) = [card for card in page.cards if "31.jpg" in card]
    assert 'title="log probability in nats">-1.25</small>' in card
    assert 'title="log probability in nats, cut off at the greatest length">-2.50 …</small>' in card
    assert "<li>A dog runs.</li><li>A cat sits.</li>" in card
    picture = Image.open(io.BytesIO(base64.b64decode(re.findall(r'base64,([^"]+)"', card)[0])))
    expected = Image.open(io.BytesIO(fake_shards.jpeg(31)))
    assert picture.size == expected.size
    assert np.abs(np.asarray(picture, float) - np.asarray(expected, float)).mean() < 20
    (empty,) = [card for card in page.cards if "33.jpg" in card]
    assert "The search found no caption." in empty


def test_large_photographs_are_made_small(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    photograph = io.BytesIO()
    Image.new("L", (1500, 1000), 200).save(photograph, "PNG")
    splits = {"test": [fake_shards.Photo(32, photograph.getvalue(), ("a dog runs",))]}
    fake_shards.write_folder(tmp_path / "shards", splits)
    (workdir / "evaluation/test/candidates.json").write_text(
        json.dumps([{"image_id": 32, "file_name": "32.jpg", "captions": []}])
    )
    data = re.findall(r'base64,([^"]+)"', write(workdir).source)
    picture = Image.open(io.BytesIO(base64.b64decode(data[0])))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (480, 320))


def test_the_choice_of_photographs_follows_the_seed(workdir: pathlib.Path) -> None:
    def chosen(seed: int) -> list[str]:
        return re.findall(r'class="name">([^<]+)<', write(workdir, "--num_pictures=1", f"--seed={seed}").source)

    assert chosen(0) == chosen(0)
    assert len(chosen(0)) == 1
    assert len({chosen(seed)[0] for seed in range(12)}) == 3
    assert "1 of 3 photographs" in write(workdir, "--num_pictures=1").text


def test_feature_shards_borrow_the_pictures_of_their_image_shards(
    workdir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with_pictures = write(workdir).cards
    ids = [image.image_id for images in fake_shards.SPLITS.values() for image in images]
    fake_shards.write_folder(tmp_path / "features", features={i: np.zeros(4, np.float32) for i in ids})
    path = tmp_path / "features" / "manifest.json"
    fields = json.loads(path.read_text())
    fields["encoder"]["source_dir"] = str(tmp_path / "shards")
    path.write_text(json.dumps(fields))
    config = json.loads((workdir / "config.json").read_text())
    config["input"]["data_dir"] = str(tmp_path / "features")
    (workdir / "config.json").write_text(json.dumps(config))
    assert write(workdir).cards[0].split("<article>")[0] == with_pictures[0]
    (tmp_path / "shards" / "manifest.json").unlink()
    page = write(workdir)
    assert "img" not in page.tags
    assert "those with the pictures are gone" in page.text
    assert "A dog runs." in page.text


def test_a_run_that_has_just_begun_names_the_commands_that_come_next(workdir: pathlib.Path) -> None:
    for path in ("metrics.jsonl", *(f"evaluation/test/{n}.json" for n in ("scores", "candidates", "scene_scores"))):
        (workdir / path).unlink()
    text = write(workdir).text
    assert "No scores on test yet." in text
    assert text.count(f"python -m im2txt.evaluate --workdir='{workdir}' --split=test") == 2
    assert "python -m im2txt.train" in text


def test_a_run_without_validation_says_so(workdir: pathlib.Path) -> None:
    (workdir / "metrics.jsonl").write_text(json.dumps({"kind": "train", "step": 5, "loss": 3.0}) + '\n{"kind": "tra')
    page = write(workdir)
    assert "No validation yet" in page.text
    assert "svg" in page.tags


def test_lost_shards_leave_the_captions(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "shards" / "manifest.json").unlink()
    page = write(workdir)
    assert "Pictures and references are missing, because the shards are not there." in page.text
    assert NASTY in page.text
    assert "img" not in page.tags


def test_shards_that_moved_are_named_by_a_flag(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = write(workdir).cards
    (tmp_path / "shards").rename(tmp_path / "moved")
    assert write(workdir, f"--data_dir={tmp_path / 'moved'}").cards == before


def test_shards_built_anew_are_not_taken_for_the_runs(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    manifest = tmp_path / "shards" / "manifest.json"
    (workdir / "data_manifest.json").write_text(manifest.read_text())
    assert "img" in write(workdir).tags
    fake_shards.write_folder(tmp_path / "shards", fake_shards.SPLITS, num_shards=3)
    page = write(workdir)
    assert "was built anew since the run" in page.text
    assert "img" not in page.tags


def test_photographs_that_are_not_in_the_shards_are_counted(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path / "shards", {"test": fake_shards.photos([31, 40])})
    page = write(workdir)
    assert "2 of the pictures are not in" in page.text
    assert page.tags.count("img") == 1


def test_a_folder_that_is_no_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config.json.*is no run of im2txt.train"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.jsonl", '{"kind": "train", "step": 1}\n', "metrics.jsonl, line 1: .* is no row of metrics"),
        ("metrics.jsonl", "{]\n", "metrics.jsonl, line 1"),
        ("evaluation/test/scores.json", '{"scores": ', "scores.json is damaged"),
    ],
)
def test_a_damaged_file_is_named(workdir: pathlib.Path, name: str, content: str, message: str) -> None:
    (workdir / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        write(workdir)
