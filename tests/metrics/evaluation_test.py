import pytest

from im2txt.metrics.caption_metrics import METRICS, CaptionScorer, score_captions
from im2txt.metrics.evaluation import evaluate

REFERENCES = {
    7: ["A black dog runs on the grass.", "The dog is running."],
    3: ["Two men ride bikes down a street.", "Men on bikes", "Two people cycle."],
    5: ["A man's hat is red.", "There is a red hat on a man."],
}
HYPOTHESES = {3: "two men on bikes .", 5: "a man with a", 7: "a dog running on the grass ."}


def test_a_summary_sets_captions_between_a_constant_and_people() -> None:
    summary, scores = evaluate(CaptionScorer(REFERENCES), HYPOTHESES, {("two", "men", "on", "bikes")})
    assert summary["num_images"] == 3
    assert summary["scores"] == score_captions(HYPOTHESES, REFERENCES) == scores.corpus()
    assert set(summary["intervals"]) == set(METRICS)
    assert summary["diagnostics"]["copied_share"] == 1 / 3
    constant = summary["floor"]["caption"]
    everyones = [caption for captions in REFERENCES.values() for caption in captions]
    by_cider = {c: score_captions(dict.fromkeys(REFERENCES, c), REFERENCES)["CIDEr-D"] for c in everyones}
    assert by_cider[constant] == max(by_cider.values()) > by_cider[everyones[0]]
    assert summary["floor"]["scores"] == score_captions(dict.fromkeys(REFERENCES, constant), REFERENCES)
    assert summary["floor"]["diagnostics"]["unique_captions_share"] == 1 / 3
    firsts = {image_id: captions[0] for image_id, captions in REFERENCES.items()}
    others = {image_id: captions[1:] for image_id, captions in REFERENCES.items()}
    assert summary["human"]["scores"] == score_captions(firsts, others)
    assert summary["human"]["diagnostics"]["mean_length"] == pytest.approx((7 + 7 + 6) / 3)


def test_people_are_left_out_where_an_image_has_one_caption() -> None:
    references = {**REFERENCES, 3: ["Two men ride bikes down a street."]}
    assert evaluate(CaptionScorer(references), HYPOTHESES).summary["human"] == {"scores": {}, "diagnostics": {}}
