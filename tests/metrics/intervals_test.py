import math
import random

import numpy as np
import pytest

from im2txt.metrics.caption_metrics import METRICS, CaptionScorer
from im2txt.metrics.intervals import compare, confidence_intervals

WORDS = ["a", "a", "the", "dog", "cat", "man", "red", "runs", "on", "grass"]


def make(images: int, seed: int) -> tuple[CaptionScorer, dict[int, str]]:
    source = random.Random(seed)

    def caption() -> str:
        return " ".join(source.choices(WORDS, k=source.randint(4, 9)))

    return CaptionScorer({i: [caption(), caption()] for i in range(images)}), {i: caption() for i in range(images)}


def test_intervals_of_a_mean_are_those_of_the_normal_distribution() -> None:
    # For a mean of many images the bootstrap is known to give mean +- 1.96 standard deviations / sqrt(images).
    scorer, hypotheses = make(400, seed=1)
    scores = scorer.score(hypotheses)
    intervals = confidence_intervals(scores, num_samples=4000)
    for name in ("ROUGE-L", "CIDEr-D"):
        values = scores.of_images()[name]
        half = 1.96 * values.std() / math.sqrt(len(values))
        assert intervals[name] == pytest.approx([values.mean() - half, values.mean() + half], abs=half / 8)


def test_every_score_lies_in_its_interval_and_the_seed_fixes_it() -> None:
    scorer, hypotheses = make(50, seed=2)
    scores = scorer.score(hypotheses)
    intervals = confidence_intervals(scores)
    assert list(intervals) == list(METRICS)
    for name, (low, high) in intervals.items():
        assert low <= scores.corpus()[name] <= high
    assert confidence_intervals(scores) == intervals
    assert confidence_intervals(scores, seed=1) != intervals


def test_captions_do_not_differ_from_themselves() -> None:
    scorer, hypotheses = make(20, seed=3)
    scores = scorer.score(hypotheses)
    for row in compare(scores, scores, num_samples=200).values():
        assert (row["difference"], row["p_value"]) == (0.0, 1.0)


def test_the_p_value_of_a_mean_is_that_of_the_paired_z_test() -> None:
    scorer, hypotheses = make(400, seed=4)
    # One caption in twenty is made a little better, so that the difference is near what chance may do.
    better = {i: scorer.captions[i][0] if i % 57 == 0 else caption for i, caption in hypotheses.items()}
    own, other = scorer.score(better), scorer.score(hypotheses)
    row = compare(own, other, num_samples=4000)["ROUGE-L"]
    differences = own.rouge_l - other.rouge_l
    z = differences.mean() / (differences.std() / np.sqrt(len(differences)))
    expected = math.erfc(z / math.sqrt(2))
    assert 0.0005 < expected < 0.05
    assert row["p_value"] == pytest.approx(expected, rel=0.8)
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    assert row["difference"] == pytest.approx(row["score"] - row["other_score"])


def test_swapping_the_two_turns_the_sign_and_keeps_the_p_value() -> None:
    scorer, hypotheses = make(30, seed=5)
    own, other = scorer.score(hypotheses), scorer.score({i: captions[0] for i, captions in enumerate(scorer.captions)})
    forth, back = compare(own, other, num_samples=300), compare(other, own, num_samples=300)
    for name in METRICS:
        assert forth[name]["difference"] == -back[name]["difference"]
        assert forth[name]["p_value"] == back[name]["p_value"]


def test_scores_of_other_images_are_refused() -> None:
    first, second = make(5, seed=6), make(6, seed=6)
    with pytest.raises(ValueError, match="same images in the same order"):
        compare(first[0].score(first[1]), second[0].score(second[1]))
