import pytest

from data_prep.building.vocabulary_builder import VocabularyOptions, make_vocabulary
from im2txt.text.vocabulary import Vocabulary

CAPTIONS = ["a dog runs", "a dog", "a cat", "b cat", "é cat"]


def entries(vocabulary):
    return list(zip(vocabulary.words, vocabulary.counts, strict=True))


def test_words_are_ordered_by_count_then_start_and_end_then_alphabet():
    vocabulary = make_vocabulary(CAPTIONS, VocabularyOptions(min_word_count=1))
    assert entries(vocabulary) == [
        ("<S>", 5),
        ("</S>", 5),
        ("a", 3),
        ("cat", 3),
        ("dog", 2),
        ("b", 1),
        ("runs", 1),
        ("é", 1),
        ("<UNK>", 0),
    ]


def test_the_order_of_reading_does_not_matter():
    options = VocabularyOptions(min_word_count=1)
    assert entries(make_vocabulary(CAPTIONS[::-1], options)) == entries(make_vocabulary(CAPTIONS, options))


def test_rare_words_are_left_out_from_the_threshold_down():
    assert make_vocabulary(CAPTIONS, VocabularyOptions(min_word_count=3)).words == ("<S>", "</S>", "a", "cat", "<UNK>")


def test_start_and_end_stay_however_few_captions_there_are():
    assert make_vocabulary(["a a a a"], VocabularyOptions()).words == ("a", "<S>", "</S>", "<UNK>")


def test_the_threshold_is_the_originals_by_default():
    assert VocabularyOptions().min_word_count == 4


def test_the_size_limit_counts_the_special_words_and_drops_the_rarest():
    vocabulary = make_vocabulary(CAPTIONS, VocabularyOptions(min_word_count=1, max_words=5))
    assert vocabulary.words == ("<S>", "</S>", "a", "cat", "<UNK>")
    smallest = make_vocabulary(["a a a a"], VocabularyOptions(max_words=3))
    assert smallest.words == ("<S>", "</S>", "<UNK>")


def write(tmp_path, text):
    path = tmp_path / "my counts.txt"
    path.write_text(text)
    return str(path)


def test_a_given_vocabulary_is_taken_as_it_is(tmp_path):
    text = "zebra 9\n</S> 5\n<S> 5"
    options = VocabularyOptions(vocabulary_file=write(tmp_path, text))
    assert make_vocabulary(CAPTIONS, options).to_text() == text
    assert make_vocabulary([], options).to_text() == text


def test_an_extended_vocabulary_keeps_every_old_id_and_appends_the_new_words(tmp_path):
    old_text = "zebra 9\n</S> 5\n<S> 5\na 4"
    old = Vocabulary.from_text(old_text)
    options = VocabularyOptions(vocabulary_file=write(tmp_path, old_text), extend_vocabulary=True, min_word_count=2)
    extended = make_vocabulary(CAPTIONS, options)
    assert extended.words[: len(old)] == old.words
    assert extended.unknown_id == old.unknown_id
    assert entries(extended)[len(old) :] == [("cat", 3), ("dog", 2)]
    assert Vocabulary.from_text(extended.to_text()).words == extended.words


def test_an_extension_respects_the_size_limit(tmp_path):
    options = VocabularyOptions(
        vocabulary_file=write(tmp_path, "</S> 5\n<S> 5"), extend_vocabulary=True, min_word_count=1, max_words=5
    )
    assert make_vocabulary(CAPTIONS, options).words == ("</S>", "<S>", "<UNK>", "a", "cat")


def test_no_training_captions_is_an_error():
    with pytest.raises(ValueError, match="No training caption to build the vocabulary from"):
        make_vocabulary([], VocabularyOptions())


def test_a_given_vocabulary_is_never_cut(tmp_path):
    options = VocabularyOptions(vocabulary_file=write(tmp_path, "</S> 5\n<S> 5\na 4"), max_words=3)
    with pytest.raises(ValueError, match="holds 4 words, more than --max_words=3"):
        make_vocabulary(CAPTIONS, options)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.txt.*--vocabulary_file"):
        make_vocabulary(CAPTIONS, VocabularyOptions(vocabulary_file=str(tmp_path / "gone.txt")))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"min_word_count": 0}, "min_word_count=0 must be at least 1"),
        ({"max_words": 2}, "max_words=2 leaves no room for <S>, </S>, <UNK>"),
        ({"extend_vocabulary": True}, "extend_vocabulary needs --vocabulary_file"),
    ],
)
def test_options_out_of_range_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        VocabularyOptions(**flags)
