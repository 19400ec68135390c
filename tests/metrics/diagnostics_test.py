import pytest

from im2txt.metrics.diagnostics import as_words, diagnose

words = str.split


def test_what_is_said_of_four_captions() -> None:
    captions = [words("a dog"), words("a dog"), words("two dogs on a"), []]
    figures = diagnose(captions, [[words("a dog runs"), words("the dog")]] * 4)
    assert figures["words_used"] == len({"a", "dog", "two", "dogs", "on"})
    assert figures["unique_captions_share"] == 3 / 4
    assert figures["bad_ending_share"] == 1 / 4
    assert figures["mean_length"] == (2 + 2 + 4 + 0) / 4
    assert figures["length_ratio"] == 2.0 / 2.5
    assert "copied_share" not in figures


def test_copies_of_training_captions_are_told_by_their_words() -> None:
    training = as_words(["A dog runs.", "Two  cats!"])
    figures = diagnose([words("a dog runs"), words("two cats sit"), words("two cats")], [[["x"]]] * 3, training)
    assert figures["copied_share"] == 2 / 3
    assert diagnose([["a"]], [[["x"]]], set())["copied_share"] == 0.0


def test_unknown_words_are_counted_among_all_words() -> None:
    (caption,) = as_words(["a <UNK> and a <UNK>"])
    assert diagnose([caption, words("a dog on grass here")], [[["x"]]] * 2)["unknown_share"] == 2 / 10


@pytest.mark.parametrize(
    ("caption", "repeats"),
    [
        ("a dog and a cat and a bird", False),  # two words may come again
        ("a man in a man in a hat", True),
        ("a dog dog runs", True),
        ("a b a b a", True),
        ("a b a b", False),
        ("", False),
    ],
)
def test_a_word_twice_running_or_three_words_twice_are_a_repetition(caption: str, repeats: bool) -> None:
    assert diagnose([words(caption)], [[["x"]]])["repeated_ngrams_share"] == float(repeats)


def test_references_without_words_give_no_length_ratio() -> None:
    assert diagnose([["a"]], [[[]]])["length_ratio"] == 0.0
