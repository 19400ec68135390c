import random

import pytest

from im2txt.metrics.caption_metrics import CaptionScorer, score_captions
from im2txt.metrics.constant_caption import best_constant_caption


def random_references(images: int, seed: int) -> dict[int, list[str]]:
    random_source = random.Random(seed)
    words = ["a", "a", "a", "dog", "man", "two", "red", "runs", "on", "the", "grass", "near", "bikes"]
    return {
        image_id: [" ".join(random_source.choices(words, k=random_source.randint(4, 9))) for _ in range(3)]
        for image_id in range(images)
    }


@pytest.mark.parametrize("seed", range(3))
def test_best_constant_caption_is_the_best_of_all_references(seed: int) -> None:
    references = random_references(images=15, seed=seed)  # 45 captions: more than are scored exactly
    by_trying_all = {
        caption: score_captions(dict.fromkeys(references, caption), references)["CIDEr-D"]
        for captions in references.values()
        for caption in captions
    }
    best = best_constant_caption(CaptionScorer(references))
    assert by_trying_all[best] == pytest.approx(max(by_trying_all.values()))


def test_a_caption_of_every_image_is_spelled_as_a_reference_spells_it() -> None:
    references = {1: ["A dog runs.", "Two cats"], 2: ["a dog runs", "red car"], 3: ["blue bike", "one bird"]}
    assert best_constant_caption(CaptionScorer(references)) == "A dog runs."


def test_a_single_image_has_a_constant_caption_too() -> None:
    assert best_constant_caption(CaptionScorer({1: ["a dog", "the cat"]})) in ("a dog", "the cat")
