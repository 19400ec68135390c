import pytest

from data_prep.building.planned_captions import CaptionOptions, plan_images
from data_prep.sources.base import CaptionedImage

PATH = __file__


def plan(*captions, split="train", path=PATH, **options):
    skips = []
    image = CaptionedImage(5, "5.jpg", path, captions)
    return list(plan_images([(image, split)], CaptionOptions(**options), skips)), skips


def test_captions_become_words_and_stay_raw_beside_them():
    (image,), skips = plan("A dog's hat.", " Two  cats ")
    assert image.captions == ("A dog's hat.", " Two  cats ")
    assert image.words == ("a dog 's hat .", "two cats")
    assert skips == []


def test_the_tokenizer_is_chosen_by_name():
    (image,), _ = plan("A Dog .", tokenizer="whitespace")
    assert image.words == ("A Dog .",)


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "empty_caption"),
        ("  \t ", "empty_caption"),
        ("?! ...", "empty_caption"),
        ("a <S> dog", "special_word"),
        ("a dog</S>", "special_word"),
        ("<UNK>", "special_word"),
        ("dog " * 10_000, "long_caption"),
        ("x" * 1_000_000, "long_caption"),
        ("a \udcff dog", "not_utf8"),
    ],
)
def test_unusable_captions_are_skipped_by_name_and_the_others_stay(caption, reason):
    (image,), skips = plan("good one", caption)
    assert image.captions == ("good one",)
    assert [(skip.image_id, skip.file_name, skip.reason) for skip in skips] == [(5, "5.jpg", reason)]
    assert skips[0].caption is not None
    assert len(skips[0].caption.encode()) <= 200


def test_the_longest_caption_is_still_taken():
    (image,), skips = plan("dog " * 200)
    assert (image.words, skips) == ((" ".join(["dog"] * 200),), [])
    none, skips = plan("dog " * 201)
    assert (none, [skip.reason for skip in skips]) == ([], ["long_caption", "no_caption"])


def test_a_photograph_without_a_usable_caption_is_skipped_itself():
    for captions in ((), ("", " ")):
        images, skips = plan(*captions)
        assert images == []
        assert (skips[-1].reason, skips[-1].caption) == ("no_caption", None)


def test_a_photograph_in_no_split_is_left_out_and_one_that_is_not_even_there_told_apart(tmp_path):
    assert plan("a dog", split=None)[1][0].reason == "no_split"
    assert plan("a dog", split=None, path=str(tmp_path / "gone.jpg"))[1][0].reason == "missing_photograph"


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="Unknown tokenizer 'treebnk'.*Did you mean 'treebank'"):
        CaptionOptions(tokenizer="treebnk")
    with pytest.raises(ValueError, match="max_caption_words=0 must be at least 1"):
        CaptionOptions(max_caption_words=0)
