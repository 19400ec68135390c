"""The graph's captions against those of `detokenize`, on every odd join there is."""

import random

import numpy as np
import pytest
import tensorflow as tf

from im2txt.text.graph_detokenization import build_detokenizer
from im2txt.text.tokenization import CHAR_SPACE, detokenize
from im2txt.text.vocabulary import Vocabulary

WORDS = [
    *("a", "man", "'s", "n't", "``", "''", '"', "`", "-lrb-", "-rrb-", ",", ".", "...", "$", "5", "%", "can", "not"),
    *("gim", "me", "’", "s", "'t", "ll", "#", "[", "]", "été", "<S>", "</S>", CHAR_SPACE),
]
SAID = [word for word in WORDS if word not in ("<S>", "</S>")] + ["<UNK>"]
VOCABULARY = Vocabulary([(word, 1) for word in WORDS])
LENGTH = 12


@pytest.mark.parametrize("tokenizer_name", ["treebank", "coco", "char"])
def test_captions_equal_those_of_the_python_function(tokenizer_name):
    generator = random.Random(5)
    rows, lengths, expected = [], [], []
    for _ in range(1_500):
        words = generator.choices(SAID, k=generator.randint(0, 10))
        ids = VOCABULARY.encode(words) if generator.random() < 0.7 else VOCABULARY.encode(words)[:-1]
        rows.append(ids + [VOCABULARY.end_id] * (LENGTH - len(ids)))
        lengths.append(len(ids))
        expected.append(detokenize(words, tokenizer_name))
    build = tf.function(build_detokenizer(VOCABULARY, tokenizer_name))
    captions = build(tf.constant(np.array(rows, np.int32)), tf.constant(np.array(lengths, np.int32)))
    assert [caption.decode() for caption in captions.numpy()] == expected


def test_any_leading_dimensions_are_kept():
    ids = [VOCABULARY.encode(["a", "man"]), VOCABULARY.encode(["man", "."])]
    captions = build_detokenizer(VOCABULARY, "treebank")(tf.constant([ids]), tf.constant([[4, 4]]))
    assert captions.numpy().tolist() == [[b"a man", b"man."]]


def test_what_stands_behind_the_length_is_not_said():
    (caption,) = build_detokenizer(VOCABULARY, "treebank")(tf.constant([[28, 0, 1, 1]]), tf.constant([2])).numpy()
    assert VOCABULARY.start_id == 28
    assert caption == b"a"


def test_an_id_past_the_vocabulary_is_an_unknown_word_wherever_that_stands():
    vocabulary = Vocabulary([("<S>", 1), ("</S>", 1), ("<UNK>", 0), ("man", 1)])
    (caption,) = build_detokenizer(vocabulary, "treebank")(tf.constant([[0, 3, 4, 1]]), tf.constant([4])).numpy()
    assert caption.decode() == detokenize(vocabulary.decode([0, 3, 4, 1]), "treebank") == "man <UNK>"


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(ValueError, match="Unknown tokenizer 'treebnk'"):
        build_detokenizer(VOCABULARY, "treebnk")
