"""Words back to captions inside a TensorFlow graph, for a model that must speak without Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from im2txt.text import tokenization
from im2txt.text.vocabulary import Vocabulary


def build_detokenizer(vocabulary: Vocabulary, tokenizer_name: str) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a function that equals `tokenization.detokenize` of `Vocabulary.decode`.

    It takes word_ids int32 [..., L] as a search returns them (`<S>` first, anything behind the length) and lengths
    int32 [...], `<S>` and `</S>` counted, and returns captions string [...]. L is static.

    Args:
        vocabulary: the model's.
        tokenizer_name: of the captions it was trained on.

    Raises:
        ValueError: if no tokenizer has that name.
    """
    tokenization.tokenizer(tokenizer_name)
    table = _char_table(vocabulary) if tokenizer_name == "char" else _word_table(vocabulary)

    def detokenize(word_ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(lengths)
        text = tf.fill(shape, "")
        joins, inside_quotes = tf.fill(shape, True), tf.fill(shape, False)
        previous = tf.fill(shape, vocabulary.start_id)
        ended = tf.fill(shape, False)
        for position in range(word_ids.shape[-1]):
            word = word_ids[..., position]
            word = tf.where(word < len(vocabulary), word, vocabulary.unknown_id)  # A row to spare is no word.
            ended |= (word == vocabulary.end_id) | (position >= lengths)
            is_said = ~ended & ((word != vocabulary.start_id) if position == 0 else True)
            opens = tf.gather(table.opens_quotes, word) & ~inside_quotes
            closes = tf.gather(table.is_quote, word) & ~opens
            pair = tf.cast(previous, tf.int64) * len(vocabulary) + tf.cast(word, tf.int64)
            is_pair = tf.reduce_any(pair[..., tf.newaxis] == table.joined_pairs, axis=-1)
            joins |= closes | tf.gather(table.joins_before, word) | is_pair
            shown = tf.gather(table.shown, word)
            said = tf.where(joins, text + shown, text + " " + shown)
            text = tf.where(is_said, said, text)
            joins = tf.where(is_said, opens | tf.gather(table.joins_after, word), joins)
            inside_quotes = tf.where(is_said, opens | (inside_quotes & ~closes), inside_quotes)
            previous = tf.where(is_said, word, previous)
        return text

    return detokenize


class _Table:
    """What is known of each word, by id; `joined_pairs` int64 holds first id * V + second id."""

    def __init__(self, shown: list[str], vocab_size: int):
        self.shown = tf.constant(shown)
        self.is_quote, self.opens_quotes, self.joins_before, self.joins_after = np.zeros((4, vocab_size), bool)
        self.joined_pairs = np.zeros(0, np.int64)


def _word_table(vocabulary: Vocabulary) -> _Table:
    shown = [tokenization.SHOWN.get(word, word) for word in vocabulary.words]
    table = _Table(shown, len(vocabulary))
    table.is_quote = np.array([s == '"' for s in shown])
    table.opens_quotes = np.array([s == '"' and w != "''" for s, w in zip(shown, vocabulary.words, strict=True)])
    table.joins_before = np.array([bool(tokenization.JOINS_BEFORE.fullmatch(s)) for s in shown])
    table.joins_after = np.array([bool(tokenization.JOINS_AFTER.fullmatch(s)) for s in shown])
    known = set(vocabulary.words)
    pairs = [pair for pair in sorted(tokenization.JOINED_PAIRS) if known.issuperset(pair)]
    codes = [vocabulary.word_to_id(a) * len(vocabulary) + vocabulary.word_to_id(b) for a, b in pairs]
    table.joined_pairs = np.array(codes, np.int64)
    return table


def _char_table(vocabulary: Vocabulary) -> _Table:
    table = _Table([" " if word == tokenization.CHAR_SPACE else word for word in vocabulary.words], len(vocabulary))
    table.joins_before = np.ones(len(vocabulary), bool)
    return table
