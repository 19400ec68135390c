import pytest

from data_prep.building.planned_captions import CaptionOptions, plan_images
from data_prep.building.skips import Skip
from data_prep.sources.base import CaptionedImage
from im2txt.system.storage import FileState

FILES = {"/photos/5.jpg": FileState(9, "then")}


def plan(*captions, split="train", path="/photos/5.jpg", **options):
    skips = []
    image = CaptionedImage(5, "5.jpg", path, captions)
    return list(plan_images([(image, split)], FILES, CaptionOptions(**options), skips)), skips


def test_captions_become_words_and_stay_raw_beside_them():
    (image,), skips = plan("A dog's hat.", " Two  cats ")
    assert image.captions == ("A dog's hat.", " Two  cats ")
    assert image.tokenized_captions == ("a dog 's hat .", "two cats")
    assert image.file == FileState(9, "then")
    assert skips == []


def test_the_tokenizer_is_chosen_by_name():
    (image,), _ = plan("A Dog .", tokenizer="whitespace")
    assert image.tokenized_captions == ("A Dog .",)


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
    assert (image.tokenized_captions, skips) == ((" ".join(["dog"] * 200),), [])
    none, skips = plan("dog " * 201)
    assert (none, [skip.reason for skip in skips]) == ([], ["long_caption", "no_caption"])


def test_a_photograph_without_a_usable_caption_is_skipped_itself():
    for captions in ((), ("", " ")):
        images, skips = plan(*captions)
        assert images == []
        assert (skips[-1].reason, skips[-1].caption) == ("no_caption", None)
        assert skips[-1].detail == ("none of its 2 captions can be used" if captions else "has no caption")


def test_a_photograph_in_no_split_is_left_out_for_that_alone_and_whether_it_is_there_is_said():
    for path, detail in {
        "/photos/5.jpg": "in no split",
        "/photos/gone.jpg": "in no split, and there is no file '/photos/gone.jpg'",
    }.items():
        images, skips = plan("a dog", "", split=None, path=path)
        assert (images, [(skip.reason, skip.detail) for skip in skips]) == ([], [("no_split", detail)])


def test_a_photograph_that_is_not_there_is_left_out_and_its_captions_are_not_judged():
    images, skips = plan("", "a <S> dog", path="/photos/gone.jpg")
    assert images == []
    assert skips == [Skip(5, "5.jpg", "missing_photograph", "no file '/photos/gone.jpg'")]


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="Unknown tokenizer 'treebnk'.*Did you mean 'treebank'"):
        CaptionOptions(tokenizer="treebnk")
    with pytest.raises(ValueError, match="max_caption_words=0 must be at least 1"):
        CaptionOptions(max_caption_words=0)
