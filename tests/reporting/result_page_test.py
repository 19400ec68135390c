"""The page of one evaluation, of a run's folder that is made by hand."""

import base64
import io
import json
import pathlib
import re
from typing import Any

import evaluated_runs
import fake_shards
import numpy as np
import pytest
from evaluated_runs import candidate
from page_text import text_of
from PIL import Image

from im2txt import report
from im2txt.metrics.cider import cider_d


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    return evaluated_runs.write_evaluated_run(tmp_path)


def page_of(workdir: pathlib.Path, *flags: str) -> str:
    report.main([f"--workdir={workdir}", "--split=test", *flags])
    return (workdir / "evaluation" / "test" / "report.html").read_text()


def data_of(page: str) -> dict[int, dict[str, Any]]:
    """What the script is given, by image id."""
    (data,) = re.findall(r'id="data">(.*?)</script>', page)
    return {image["id"]: image for image in json.loads(data)["images"]}


def test_scores_stand_next_to_interval_floor_and_people(workdir: pathlib.Path) -> None:
    text = text_of(page_of(workdir))
    assert "3 photographs · step 4,000 · beam of 3 · perplexity 7.39 per word" in text
    assert "BLEU-4 0.400 0.350 to 0.450 0.100 0.500 CIDEr-D 1.800 1.700 to 1.900 0.300 2.500" in text
    assert "mean length 7.25 12" in text
    assert "The best constant caption is “a dog”." in text


def test_what_java_programs_scored_is_labelled_and_what_was_not_scored_is_stated(workdir: pathlib.Path) -> None:
    path = workdir / "evaluation" / "test" / "scores.json"
    scores = json.loads(path.read_text())
    scores["java_scores"] = {"METEOR": 0.275}
    scores["excluded"] = [{"reason": "images without references", "count": 2, "image_ids": [4, 5]}]
    path.write_text(json.dumps(scores))
    text = text_of(page_of(workdir))
    assert "METEOR (Java) 0.275" in text
    assert "Not scored: 2 images without references." in text


def test_scores_of_an_older_evaluation_are_shown_too(workdir: pathlib.Path) -> None:
    path = workdir / "evaluation" / "test" / "scores.json"
    scores = json.loads(path.read_text())
    del scores["intervals"], scores["diagnostics"], scores["floor"]["diagnostics"], scores["human"]["diagnostics"]
    scores["scores"]["mean_length"] = 6.5
    path.write_text(json.dumps(scores))
    text = text_of(page_of(workdir))
    assert "BLEU-4 0.400 0.100 0.500" in text
    assert "mean length 6.5" in text
    assert "interval" not in text


def test_the_script_is_given_every_caption_reference_and_probability(workdir: pathlib.Path) -> None:
    images = data_of(page_of(workdir))
    assert list(images) == [31, 32, 33]
    best, second = images[31]["captions"]
    assert (best["text"], best["words"], best["logProb"]) == ("A dog runs", ["a", "dog", "runs"], -1.0)
    assert best["wordLogProbs"] == [-0.1, -0.2, -0.3, -0.4]
    assert (second["isComplete"], len(second["wordLogProbs"])) == (False, 2)
    assert images[31]["references"] == ["A dog runs.", "A cat sits."]
    assert images[33]["captions"] == []
    picture = Image.open(io.BytesIO(base64.b64decode(images[32]["address"].removeprefix("data:image/jpeg;base64,"))))
    expected = np.asarray(Image.open(io.BytesIO(fake_shards.jpeg(32))), float)
    assert np.abs(np.asarray(picture, float) - expected).mean() < 25
    assert images[32]["isSmall"]


def test_captions_of_an_older_evaluation_have_no_words(workdir: pathlib.Path) -> None:
    old = candidate("a cat", (-1.0, -2.0, -3.0))
    del old["word_log_probs"]
    evaluated_runs.write_evaluation(workdir, {31: ("31.jpg", [old])})
    (caption,) = data_of(page_of(workdir))[31]["captions"]
    assert (caption["text"], caption["words"], caption["wordLogProbs"]) == ("A cat", [], [])


def test_each_photograph_has_its_scores_or_those_of_image_scores_json(workdir: pathlib.Path) -> None:
    images = data_of(page_of(workdir))
    dog, cat, zebra = ["a", "dog", "runs"], ["a", "cat", "sits"], ["a", "zebra", "runs", "a"]
    written = [[dog, cat], [dog, zebra], [dog, cat]]
    expected = cider_d([dog, ["a", "cat"], []], written)
    assert [images[i]["scores"]["CIDEr-D"] for i in (31, 32, 33)] == pytest.approx(expected, abs=1e-4)
    rows = [{"image_id": i, "caption": "", "scores": {"BLEU-4": i / 100}} for i in (31, 32, 33)]
    (workdir / "evaluation" / "test" / "image_scores.json").write_text(json.dumps(rows))
    assert data_of(page_of(workdir))[32]["scores"] == {"BLEU-4": 0.32}


def test_photographs_beyond_the_limit_lie_beside_the_page(workdir: pathlib.Path) -> None:
    page = page_of(workdir, "--embedded_megabytes=0")
    for image_id, image in data_of(page).items():
        assert image["address"] == f"report_files/{image_id}.jpg"
        assert Image.open(workdir / "evaluation" / "test" / image["address"]).size == (32, 24)
    assert "The photographs lie in the folder report_files" in text_of(page)


def test_a_split_that_was_not_evaluated_is_refused_and_the_page_left_as_it_was(workdir: pathlib.Path) -> None:
    output = workdir / "page.html"
    output.write_text("before")
    with pytest.raises(FileNotFoundError, match=r"'val' was not evaluated: .*im2txt.evaluate --workdir=.* --split=val"):
        report.main([f"--workdir={workdir}", "--split=val", f"--output_html={output}"])
    assert output.read_text() == "before"
    assert not (workdir / "page_files").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config.json.*is no run of im2txt.train"):
        page_of(tmp_path)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ("[]", "candidates.json holds no photograph: there is nothing to show"),
        ("[{", "candidates.json is cut short"),
        ('[{"image_id": 31, "caption": "a dog"}]', "candidates.json is not what im2txt.evaluate writes: KeyError"),
        ('{"images": []}', "candidates.json is not what im2txt.evaluate writes"),
        (
            '[{"image_id": 31, "file_name": "a", "captions": []}, {"image_id": 31, "file_name": "b", "captions": []}]',
            "holds 1 photographs more than once, image 31 among them",
        ),
        (
            '[{"image_id": 3, "file_name": "a", "captions": [{"log_prob": -Infinity, "score": -1.0}]}]',
            "a caption of image 3 has the log_prob -inf",
        ),
    ],
)
def test_bad_candidates_are_refused(workdir: pathlib.Path, candidates: str, message: str) -> None:
    (workdir / "evaluation" / "test" / "candidates.json").write_text(candidates)
    with pytest.raises(ValueError, match=message):
        page_of(workdir)


def test_images_that_do_not_match_the_references_are_counted_printed_and_stated(
    workdir: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated_runs.write_evaluation(
        workdir, {31: ("31.jpg", [candidate("a dog", (-1.0,) * 3)]), 99: ("99.jpg", [candidate("a cat", (-1.0,) * 3)])}
    )
    page = page_of(workdir)
    printed = capsys.readouterr().out
    for note in (
        "1 of 2 photographs have no reference in test and so no scores of their own.",
        "2 of the 3 photographs of test were not captioned.",
        "1 photographs are not in ",
    ):
        assert f"note: {note}" in printed
        assert note in text_of(page)
    images = data_of(page)
    assert (images[99]["address"], images[99]["references"], images[99]["scores"]) == ("", [], {})
    assert images[31]["scores"]


def test_lost_or_other_shards_leave_the_captions(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shards = tmp_path / "shards"
    (workdir / "data_manifest.json").write_text((shards / "manifest.json").read_text())
    assert data_of(page_of(workdir))[31]["address"]
    fake_shards.write_folder(shards, num_shards=3)
    page = page_of(workdir)
    assert "was built anew since the run was started" in text_of(page)
    assert data_of(page)[31]["address"] == ""
    assert data_of(page_of(workdir, f"--data_dir={shards}"))[31]["address"]
    (shards / "manifest.json").unlink()
    page = page_of(workdir)
    assert "the shards are not there" in text_of(page)
    assert data_of(page)[31]["captions"][0]["text"] == "A dog runs"


def test_shards_of_an_older_version_are_known_again(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    manifest = json.loads((tmp_path / "shards" / "manifest.json").read_text())
    del manifest["warnings"], manifest["vocabulary_only_captions"]
    (workdir / "data_manifest.json").write_text(json.dumps(manifest))
    assert data_of(page_of(workdir))[31]["address"]


def test_shards_that_were_named_and_are_not_there_leave_the_page_as_it_was(workdir: pathlib.Path) -> None:
    before = page_of(workdir)
    with pytest.raises(FileNotFoundError, match=r"No manifest\.json in '/nowhere'"):
        page_of(workdir, "--data_dir=/nowhere")
    assert (workdir / "evaluation" / "test" / "report.html").read_text() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[]"),
        ("config.json", "{"),
        ("config.json", "[" * 200_000),
        ("evaluation/test/scores.json", "[]"),
        ("evaluation/test/scores.json", "{}"),
        ("evaluation/test/scores.json", '{"scores": {"BLEU-1": "x"}}'),
        ("evaluation/test/scores.json", '{"scores": {}, "floor": {}}'),
        ("evaluation/test/candidates.json", "{}"),
        ("evaluation/test/image_scores.json", "[1]"),
    ],
)
def test_a_file_that_is_something_else_is_named(workdir: pathlib.Path, name: str, content: str) -> None:
    (workdir / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} (is|holds) "):
        page_of(workdir)


def test_the_page_is_no_folder(workdir: pathlib.Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"--output_html=.* is a folder\. Name a file in it"):
        page_of(workdir, f"--output_html={workdir}")


def test_shares_of_right_captions_stand_next_to_the_constants(workdir: pathlib.Path) -> None:
    shares = {"shape": 0.91, "colour": 0.5, "both": 0.25, "complete": 0.125}
    content = {"split": "test", "num_images": 3, "right": shares, "best_constant": dict.fromkeys(shares, 0.0625)}
    (workdir / "evaluation" / "test" / "scene_scores.json").write_text(json.dumps(content))
    assert "shape: every shape named is there 91.0% 6.2%" in text_of(page_of(workdir))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"workdir": ()}, "--workdir is missing"),
        ({"workdir": ("a", "b"), "split": "test"}, "--split=test shows one run; 2 were named"),
        ({"embedded_megabytes": -1.0}, "--embedded_megabytes=-1.0 must not be negative"),
        ({"refresh_secs": float("nan")}, "--refresh_secs=nan must not be"),
        ({"split": "test", "refresh_secs": 5.0}, "--refresh_secs is for the page of runs"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report.ReportFlags(**{"workdir": ("a",), **flags})
