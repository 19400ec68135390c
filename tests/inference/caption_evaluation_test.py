import json

import numpy as np
import pytest

from im2txt.inference import caption_evaluation
from im2txt.inference.caption_evaluation import Extras, score_results
from im2txt.inference.score_table import score_table
from im2txt.metrics.caption_metrics import METRICS, score_captions

REFERENCES = {
    7: ["A black dog runs on the grass.", "The dog is running."],
    3: ["Two men ride bikes down a street.", "Men on bikes"],
    5: ["A man's hat is red.", "There is a red hat on a man."],
    8: [],
}
RESULTS = {3: "two men on bikes", 5: "a man with a", 7: "a dog running on the grass", 9: "a cat"}


@pytest.fixture
def files(tmp_path):
    """Paths of results, references and other captions of two of the three images."""
    content = {
        "results": [{"image_id": image_id, "caption": caption} for image_id, caption in RESULTS.items()],
        "references": {
            "images": [{"id": image_id} for image_id in REFERENCES],
            "annotations": [{"image_id": i, "caption": c} for i, captions in REFERENCES.items() for c in captions],
        },
        "others": [{"image_id": 7, "caption": "a dog"}, {"image_id": 3, "caption": "bikes"}],
    }
    for name, value in content.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    return {name: str(tmp_path / f"{name}.json") for name in content}


def test_scores_of_files_are_written_with_those_of_every_image(files, tmp_path) -> None:
    output_dir = tmp_path / "a" / "scores"
    result = score_results(files["results"], files["references"], str(output_dir), Extras())
    scored = {image_id: captions for image_id, captions in REFERENCES.items() if captions}
    expected = score_captions({image_id: RESULTS[image_id] for image_id in scored}, scored)
    assert result["scores"] == expected
    assert result["num_images"] == 3
    assert "copied_share" not in result["diagnostics"]
    assert json.loads((output_dir / "scores.json").read_text()) == result
    rows = json.loads((output_dir / "image_scores.json").read_text())
    assert [(row["image_id"], row["caption"]) for row in rows] == [(i, RESULTS[i]) for i in scored]
    for name in ("ROUGE-L", "CIDEr-D"):
        assert sum(row["scores"][name] for row in rows) / 3 == pytest.approx(expected[name])


def test_without_an_output_folder_nothing_is_written(files, tmp_path) -> None:
    before = sorted(tmp_path.iterdir())
    score_results(files["results"], files["references"], "", Extras())
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_not_scored_stands_in_the_scores_and_in_the_table(files) -> None:
    result = score_results(files["results"], files["references"], "", Extras())
    assert [(row["count"], row["image_ids"]) for row in result["excluded"]] == [(1, [9]), (1, [8])]
    table = "\n".join(score_table(result))
    assert "Not scored: 1 results of images that are not among the references: 9" in table
    assert "Not scored: 1 images without a result: 8" in table


def test_captions_that_stand_in_the_training_captions_are_counted(files) -> None:
    result = score_results(files["results"], files["references"], "", Extras(), files["references"])
    assert result["diagnostics"]["copied_share"] == 0.0
    assert result["human"]["diagnostics"]["copied_share"] == 1.0


def test_captions_are_compared_on_the_images_that_both_have(files) -> None:
    extras = Extras.prepare(other_results=files["others"])
    result = score_results(files["results"], files["references"], "", extras)
    both = {image_id: REFERENCES[image_id] for image_id in (7, 3)}
    comparison = result["comparison"]
    assert (comparison["num_images"], comparison["excluded"][0]["image_ids"]) == (2, [5])
    own = score_captions({image_id: RESULTS[image_id] for image_id in both}, both)
    other = score_captions({7: "a dog", 3: "bikes"}, both)
    for name in METRICS:
        row = comparison["metrics"][name]
        assert (row["score"], row["other_score"]) == (own[name], other[name])
        assert 0 < row["p_value"] <= 1
    table = "\n".join(score_table(result))
    assert f"Compared with {files['others']} on 2 images" in table
    assert "Not scored: 1 images without a result: 5" in table


def test_java_metrics_are_labelled(files, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(caption_evaluation, "java_metric", lambda *_: (0.125, np.array([1.0, 2.0, 3.0])))
    result = score_results(files["results"], files["references"], str(tmp_path / "out"), Extras(("METEOR",)))
    assert result["java_scores"] == {"METEOR": 0.125}
    assert "METEOR" not in result["scores"]
    assert "METEOR (Java)               0.1250" in list(score_table(result))
    rows = json.loads((tmp_path / "out" / "image_scores.json").read_text())
    assert [row["scores"]["METEOR"] for row in rows] == [1.0, 2.0, 3.0]


def test_other_captions_are_read_before_any_work(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        Extras.prepare(other_results=str(tmp_path / "none.json"))


def test_other_captions_of_images_that_have_no_caption_here_are_not_said_to_lack_references(files) -> None:
    extras = Extras.prepare(other_results=files["results"])
    excluded = score_results(files["others"], files["references"], "", extras)["comparison"]["excluded"]
    assert [entry["reason"] for entry in excluded] == ["results of images that are not among those compared with"]
