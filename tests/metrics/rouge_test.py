import itertools
import random
from collections.abc import Sequence

import pytest

from im2txt.metrics.rouge import common_subsequence_length, rouge_l, word_places

words = str.split


def brute_force_length(first: Sequence[str], second: Sequence[str]) -> int:
    def holds(caption: Sequence[str], chosen: Sequence[str]) -> bool:
        rest = iter(caption)
        return all(word in rest for word in chosen)

    return max(
        length
        for length in range(len(first) + 1)
        for chosen in itertools.combinations(first, length)
        if holds(second, chosen)
    )


def test_common_subsequence_is_as_long_as_the_longest_of_all_choices() -> None:
    random_source = random.Random(5)
    for _ in range(300):
        first, second = (random_source.choices("abcd", k=random_source.randint(0, 8)) for _ in "12")
        length = common_subsequence_length(word_places(first), len(first), second)
        assert length == brute_force_length(first, second)


def test_worked_example() -> None:
    # Common: "police the gunman", 3 of 4 words either way, so precision = recall = F = 3/4.
    hypothesis, reference = words("police kill the gunman"), words("police killed the gunman")
    assert rouge_l([hypothesis], [[reference]]) == pytest.approx([3 / 4])


def test_best_precision_and_best_recall_may_come_from_two_references() -> None:
    hypothesis = words("a b c d")
    references = [words("a b c x x x"), ["d"]]  # precision 3/4 from the first, recall 1 from the second
    expected = (1 + 1.44) * 0.75 * 1 / (1 + 1.44 * 0.75)
    assert rouge_l([hypothesis], [references]) == pytest.approx([expected])


def test_nothing_in_common_and_no_words_score_zero() -> None:
    references = [[["a", "dog"]]] * 2 + [[[]]]
    assert rouge_l([["two", "cats"], [], ["a"]], references) == [0.0, 0.0, 0.0]


def test_two_captions_without_words_are_equal() -> None:
    # coco-caption takes an empty caption for one empty word.
    assert rouge_l([[]], [[["a", "dog"], []]]) == [1.0]


def test_images_without_references_are_refused() -> None:
    with pytest.raises(ValueError, match="Image number 0 has no reference"):
        rouge_l([["a"]], [[]])
