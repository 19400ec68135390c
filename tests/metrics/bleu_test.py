import math
import random

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu

from im2txt.metrics.bleu import BleuStatistics, bleu, bleu_from_statistics, bleu_statistics
from im2txt.metrics.ngrams import ReferenceNgrams

words = str.split


def statistics_of(hypotheses: list[list[str]], references: list[list[list[str]]]) -> BleuStatistics:
    return bleu_statistics(ReferenceNgrams(references).match(hypotheses))


def test_scores_published_with_coco_caption_follow_from_their_counts() -> None:
    counts = np.array([9893, 8893, 7893, 6893]), np.array([5732, 2510, 1043, 423])
    statistics = BleuStatistics(np.array(9893), np.array(9855), *counts)
    expected = [0.5793995755, 0.4043912974, 0.2785363857, 0.1908290438]
    assert bleu_from_statistics(statistics) == pytest.approx(expected, abs=5e-11)


def test_a_repeated_word_counts_as_often_as_one_reference_has_it() -> None:
    # The example of the paper: "the" stands twice in the first reference, so 2 of 7 are correct.
    references = [[words("the cat is on the mat"), words("there is a cat on the mat")]]
    statistics = statistics_of([["the"] * 7], references).corpus()
    assert [value.tolist() for value in statistics] == [7, 7, [7, 6, 5, 4], [2, 0, 0, 0]]
    scores = bleu_from_statistics(statistics)
    assert scores[0] == pytest.approx(2 / 7)
    assert scores[1] < 1e-6


def test_a_caption_that_is_too_short_is_penalised() -> None:
    scores = bleu([["a", "dog"]], [[words("a dog runs fast")]])
    assert scores[0] == pytest.approx(math.exp(1 - 4 / 2))


def test_the_shorter_of_two_equally_near_references_counts() -> None:
    references = [[words("a b c d e f"), words("a b c d")]]
    assert statistics_of([words("a b c d x")], references).reference_length == [4]


def test_no_words_at_all_score_zero() -> None:
    assert bleu([[]], [[["a", "dog"]]]) == pytest.approx([0.0] * 4)


def test_agrees_with_nltk_on_random_captions() -> None:
    random_source = random.Random(3)

    def caption() -> list[str]:
        return random_source.choices("abcdef", k=random_source.randint(4, 12))

    hypotheses = [caption() for _ in range(50)]
    references = [[caption() for _ in range(random_source.randint(1, 5))] for _ in range(50)]
    for n, score in enumerate(bleu(hypotheses, references), 1):
        assert score == pytest.approx(corpus_bleu(references, hypotheses, weights=[1 / n] * n), rel=1e-7)


def test_captions_and_references_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="2 hypotheses but references of 1 images"):
        bleu([["a"], ["b"]], [[["a"]]])
    with pytest.raises(ValueError, match="Image number 1 has no reference"):
        bleu([["a"], ["b"]], [[["a"]], []])


def test_statistics_of_images_add_up_to_the_corpus() -> None:
    hypotheses = [words("a dog runs"), words("two cats sit on a mat"), []]
    references = [[words("a dog runs fast")], [words("two cats"), words("cats sit on the mat")], [words("a bird")]]
    together = statistics_of(hypotheses, references)
    for i, (hypothesis, of_image) in enumerate(zip(hypotheses, references, strict=True)):
        alone = statistics_of([hypothesis], [of_image])
        for value, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(value[i], expected[0])
        assert bleu_from_statistics(together)[i] == pytest.approx(bleu([hypothesis], [of_image]), abs=1e-15)
