from im2txt.text.coco_tokenization import coco_tokens


def test_a_mixed_number_a_telephone_number_and_a_tag_are_one_token_each() -> None:
    captions = ["a 22 3/4 inch board", "call (555) 123-4567", "a <a b> tag"]
    assert coco_tokens(captions) == [
        ["a", "22\u00a03/4", "inch", "board"],
        ["call", "-lrb-555-rrb-\u00a0123-4567"],
        ["a", "<a\u00a0b>", "tag"],
    ]


def test_the_period_of_a_last_letter_stays_unless_a_sentence_follows() -> None:
    # As Stanford's tokenizer has them when it reads these captions as the lines of one file.
    captions = ["vitamin b.", "A dog", "vitamin b.", "Two dogs", "vitamin b.", "", "The dog", "on a.", "<b>x</b>"]
    captions += ["on a.", "A, b", "a.", "it is a."]
    words = "vitamin b|a dog|vitamin b.|two dogs|vitamin b||the dog|on a.|<b> x </b>|on a.|a b|a.|it is a."
    assert coco_tokens(captions) == [caption.split() for caption in words.split("|")]


def test_the_period_of_no_stays_before_a_number_in_the_next_line() -> None:
    # As Stanford's tokenizer has them when it reads these captions as the lines of one file.
    captions = ["sign says no.", "5 dogs", "sign says no.", "", "5 dogs", "sign says no.", "Dogs", "sign says no."]
    assert [tokens[-1] for tokens in coco_tokens(captions) if "sign" in tokens] == ["no.", "no", "no", "no"]


def test_captions_without_a_rarity_give_the_same_words_as_the_lexer() -> None:
    # An emoji is dropped, and sends a caption through the lexer.
    captions = ["Two dogs , a red-brown cat , run on the grass .", "a man in the U. S. army.", "on Main St."]
    captions += [
        "A dog.",
        "two women in ill-fitting coats, on etc.",
        "on a t-shirt.",
        "A",
        "",
        "a ,b",
        "no.",
        "I cannot",
    ]
    emoji = "\N{GRINNING FACE}"
    assert coco_tokens(captions) == coco_tokens([f"{emoji} {caption}" for caption in captions])


def test_white_space_and_unknown_characters_part_words_and_vanish() -> None:
    caption = "a\u00a0b\tc\rd\u2028e\u3000f\N{GRINNING FACE}g\u200bh\x07i"
    assert coco_tokens([caption]) == [list("abcdefghi")]


def test_captions_without_a_word_are_passed_over_at_once() -> None:
    captions = [*([""] * 5_000), "the letter b."]
    assert coco_tokens(captions) == [*([[]] * 5_000), ["the", "letter", "b."]]
    assert coco_tokens(["the letter b.", *([" "] * 5_000), "A dog"])[0] == ["the", "letter", "b"]
