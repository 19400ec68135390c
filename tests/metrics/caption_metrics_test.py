import numpy as np
import pytest

from im2txt.metrics.bleu import bleu
from im2txt.metrics.caption_metrics import METRICS, CaptionScorer, human_captions, score_captions
from im2txt.metrics.cider import cider_d
from im2txt.metrics.rouge import rouge_l

REFERENCES = {
    7: ["A black dog runs on the grass.", "The dog is running."],
    3: ["Two men ride bikes down a street.", "Men on bikes", "Two people cycle."],
    5: ["A man's hat is red.", "There is a red hat on a man."],
}
HYPOTHESES = {3: "two men on bikes .", 5: "a man with a", 7: "a dog running on the grass ."}


def test_every_score_is_that_of_the_words_of_the_same_image() -> None:
    scores = score_captions(HYPOTHESES, REFERENCES)
    hypotheses = ["a dog running on the grass", "two men on bikes", "a man with a"]
    references = [
        ["a black dog runs on the grass", "the dog is running"],
        ["two men ride bikes down a street", "men on bikes", "two people cycle"],
        ["a man 's hat is red", "there is a red hat on a man"],
    ]
    words = [h.split() for h in hypotheses], [[r.split() for r in image] for image in references]
    assert [scores[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx(bleu(*words))
    assert scores["ROUGE-L"] == pytest.approx(sum(rouge_l(*words)) / 3)
    assert scores["CIDEr-D"] == pytest.approx(sum(cider_d(*words)) / 3)
    assert scores["CIDEr-D"] > 0


def test_a_single_image_has_no_cider() -> None:
    assert score_captions({1: "a red dog runs"}, {1: ["a red dog runs"]})["CIDEr-D"] == 0.0


def test_images_without_hypothesis_or_references_are_named() -> None:
    with pytest.raises(ValueError, match=r"without a hypothesis: 3\..*of 1 and 2"):
        score_captions({1: "a"}, {1: ["a"], 3: ["b"]})
    with pytest.raises(ValueError, match=r"without references: 1, 2, 3, 4, 5 and 4 more\."):
        score_captions(dict.fromkeys(range(10), "a"), {0: ["a"]})
    with pytest.raises(ValueError, match=r"without references: 2\."):
        score_captions({1: "a", 2: "a"}, {1: ["a"], 2: []})
    with pytest.raises(ValueError, match="nothing to score"):
        score_captions({}, {})


def test_one_string_in_place_of_a_list_of_references_is_refused() -> None:
    with pytest.raises(ValueError, match=r"list of captions.*images: 4\."):
        score_captions({4: "a dog"}, {4: "a dog"})


def test_people_are_scored_by_their_first_captions_against_the_others() -> None:
    firsts, others = human_captions(REFERENCES)
    assert firsts == {
        7: "A black dog runs on the grass.",
        3: "Two men ride bikes down a street.",
        5: "A man's hat is red.",
    }
    assert others[3] == ["Men on bikes", "Two people cycle."]
    with pytest.raises(ValueError, match=r"fewer than two references: 9\."):
        human_captions({**REFERENCES, 9: ["alone"]})


def test_scores_of_images_are_those_of_each_image() -> None:
    scores = CaptionScorer(REFERENCES).score(HYPOTHESES)
    assert scores.image_ids == [7, 3, 5]
    of_images = scores.of_images()
    alone = score_captions({3: HYPOTHESES[3]}, {3: REFERENCES[3]})
    for name in METRICS[:5]:  # CIDEr-D of an image alone is 0.
        assert of_images[name][1] == pytest.approx(alone[name])
    assert scores.corpus()["CIDEr-D"] == pytest.approx(of_images["CIDEr-D"].mean())


def test_an_image_that_counts_twice_counts_as_two_images() -> None:
    scores = CaptionScorer(REFERENCES).score(HYPOTHESES)
    counts = {7: 2, 3: 0, 5: 3}
    resampled = scores.resampled(np.array([[2, 0, 3]]))
    copies = [image_id for image_id, count in counts.items() for _ in range(count)]
    references = {i: REFERENCES[image_id] for i, image_id in enumerate(copies)}
    expected = score_captions({i: HYPOTHESES[image_id] for i, image_id in enumerate(copies)}, references)
    for name in METRICS[:5]:  # CIDEr-D keeps the document frequencies of the three images.
        assert resampled[name].tolist() == pytest.approx([expected[name]])
    cider = dict(zip(scores.image_ids, scores.cider_d, strict=True))
    assert resampled["CIDEr-D"].tolist() == pytest.approx([(2 * cider[7] + 3 * cider[5]) / 5])


def test_rouge_takes_a_mixed_number_for_one_word_and_bleu_for_two() -> None:
    scores = score_captions({1: "a 22 3/4 inch board"}, {1: ["a 22 3/4 foot board"]})
    assert scores["BLEU-1"] == pytest.approx(4 / 5)  # a, 22, 3/4, board of five words
    assert scores["ROUGE-L"] == pytest.approx(3 / 4)  # a, 22 3/4, board of four
