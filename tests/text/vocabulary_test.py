import pytest

from im2txt.text.vocabulary import Vocabulary

# The first lines of the file that the original im2txt builds from COCO, and its habit of no final newline.
ORIGINAL = "a 969108\n<S> 586368\n</S> 586368\n. 440479\non 213612\ncafé 4"


def test_the_original_file_reads_and_writes_back_byte_for_byte():
    vocabulary = Vocabulary.from_text(ORIGINAL)
    assert vocabulary.words == ("a", "<S>", "</S>", ".", "on", "café", "<UNK>")
    assert vocabulary.counts[:2] == (969108, 586368)
    assert (vocabulary.start_id, vocabulary.end_id, vocabulary.unknown_id) == (1, 2, 6)
    assert vocabulary.to_text() == ORIGINAL


def test_ids_follow_the_file_not_a_convention():
    vocabulary = Vocabulary.from_text("</S> 9\n<S> 9\na 5")
    assert (vocabulary.start_id, vocabulary.end_id) == (1, 0)
    assert vocabulary.encode(["a", "zebra"]) == [1, 2, 3, 0]


def test_python_3_builds_of_the_original_wrote_bytes_literals():
    vocabulary = Vocabulary.from_text("b'a' 9\nb'<S>' 5\nb'</S>' 5\nb\"n't\" 4\nb'caf\\xc3\\xa9' 4\n")
    assert vocabulary.words == ("a", "<S>", "</S>", "n't", "café", "<UNK>")


def test_blank_lines_carriage_returns_and_missing_counts_read():
    vocabulary = Vocabulary.from_text("<S>\r\n\r\n</S> 3\r\na\r\n\n")
    assert list(zip(vocabulary.words, vocabulary.counts, strict=True)) == [
        ("<S>", 0),
        ("</S>", 3),
        ("a", 0),
        ("<UNK>", 0),
    ]


def test_an_unknown_word_inside_the_file_keeps_its_place():
    text = "<S> 3\n</S> 3\n<UNK> 0\nlate 1"
    vocabulary = Vocabulary.from_text(text)
    assert (vocabulary.unknown_id, vocabulary.word_to_id("late"), len(vocabulary)) == (2, 3, 4)
    assert vocabulary.to_text() == text


def test_ids_past_the_end_are_unknown_and_negative_ones_refused():
    vocabulary = Vocabulary.from_text(ORIGINAL)
    assert vocabulary.id_to_word(11_999) == "<UNK>"
    with pytest.raises(ValueError, match="Word id -1 is negative"):
        vocabulary.id_to_word(-1)


def test_decoding_stops_at_the_first_end_and_drops_a_leading_start():
    vocabulary = Vocabulary.from_text(ORIGINAL)
    assert vocabulary.decode([1, 0, 6, 2, 4, 4]) == ["a", "<UNK>"]
    assert vocabulary.decode([0, 4]) == ["a", "on"]
    assert vocabulary.decode([0, 1]) == ["a", "<S>"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<S> 1\n</S> one", "counts.txt, line 2: '</S> one' is not of the form `word count`"),
        ("<S> 1\n</S> 1\na b 3", "counts.txt, line 3: 'a b 3' is not of the form"),
        ("<S> 1\n</S> 1\na 1\na 1", "counts.txt: Word 'a' stands twice"),
        ("<S> 1\na 3", "counts.txt: The vocabulary of 3 words lacks '</S>'"),
        ("", "counts.txt: The vocabulary of 1 words lacks '<S>'"),
    ],
)
def test_a_damaged_file_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_text(text, "counts.txt")


def test_words_that_the_file_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="Word 2 is 'new york'; a word is not empty and holds no white space"):
        Vocabulary([("<S>", 1), ("</S>", 1), ("new york", 1)])


def test_the_fingerprint_tells_order_but_not_counts():
    first = Vocabulary.from_text("<S> 1\n</S> 1\na 1").fingerprint()
    assert Vocabulary.from_text("<S> 9\n</S> 9\na 9").fingerprint() == first
    assert Vocabulary.from_text("</S> 1\n<S> 1\na 1").fingerprint() != first
