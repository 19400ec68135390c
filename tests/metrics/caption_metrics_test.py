import random

import pytest

from im2txt.metrics.bleu import bleu
from im2txt.metrics.caption_metrics import best_constant_caption, human_ceiling, score_captions
from im2txt.metrics.cider import cider_d
from im2txt.metrics.rouge import rouge_l

REFERENCES = {
    7: ["A black dog runs on the grass.", "The dog is running."],
    3: ["Two men ride bikes down a street.", "Men on bikes", "Two people cycle."],
    5: ["A man's hat is red.", "There is a red hat on a man."],
}
HYPOTHESES = {3: "two men on bikes .", 5: "a man with a", 7: "a dog running on the grass ."}


def random_references(images: int, seed: int) -> dict[int, list[str]]:
    random_source = random.Random(seed)
    words = ["a", "a", "a", "dog", "man", "two", "red", "runs", "on", "the", "grass", "near", "bikes"]
    return {
        image_id: [" ".join(random_source.choices(words, k=random_source.randint(4, 9))) for _ in range(3)]
        for image_id in range(images)
    }


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


def test_context_of_the_scores() -> None:
    hypotheses = {1: "a dog .", 2: "A dog", 3: "two dogs on a", 4: ""}
    scores = score_captions(hypotheses, dict.fromkeys(hypotheses, ["a dog"]))
    assert scores["unique_captions_share"] == 3 / 4  # the period and the capital make no difference
    assert scores["vocabulary_used"] == len({"a", "dog", "two", "dogs", "on"})
    assert scores["mean_length"] == (2 + 2 + 4 + 0) / 4
    assert scores["bad_ending_share"] == 1 / 4


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


def test_human_ceiling_scores_the_first_reference_against_the_others() -> None:
    expected = score_captions(
        {image_id: captions[0] for image_id, captions in REFERENCES.items()},
        {image_id: captions[1:] for image_id, captions in REFERENCES.items()},
    )
    assert human_ceiling(REFERENCES) == expected
    with pytest.raises(ValueError, match=r"fewer than two references: 9\."):
        human_ceiling({**REFERENCES, 9: ["alone"]})


@pytest.mark.parametrize("seed", range(3))
def test_best_constant_caption_is_the_best_of_all_references(seed: int) -> None:
    references = random_references(images=15, seed=seed)  # 45 captions: more than are scored exactly
    by_trying_all = {
        caption: score_captions(dict.fromkeys(references, caption), references)["CIDEr-D"]
        for captions in references.values()
        for caption in captions
    }
    best, scores = best_constant_caption(references)
    assert scores["CIDEr-D"] == pytest.approx(max(by_trying_all.values()))
    assert by_trying_all[best] == scores["CIDEr-D"]
    assert scores["unique_captions_share"] == 1 / len(references)


def test_best_constant_caption_refuses_no_references() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        best_constant_caption({})
