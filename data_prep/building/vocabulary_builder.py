"""Builds the vocabulary from the training captions, or takes or extends an existing one."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from im2txt.system import storage
from im2txt.text.vocabulary import END_WORD, SPECIAL_WORDS, START_WORD, UNKNOWN_WORD, Vocabulary


@dataclasses.dataclass(frozen=True)
class VocabularyOptions:
    """Which words get an id of their own; all others become `<UNK>`."""

    min_word_count: int = 4
    """Least number of times a word must occur in the training captions."""
    max_words: int | None = None
    """Largest size of the vocabulary, `<S>`, `</S>` and `<UNK>` included; the rarest words go. None sets no limit."""
    vocabulary_file: str | None = None
    """A `word_counts.txt` to take instead of building one."""
    extend_vocabulary: bool = False
    """Append the training captions' new words to `vocabulary_file`; every old id stays."""

    def __post_init__(self) -> None:
        if self.min_word_count < 1:
            raise ValueError(f"--min_word_count={self.min_word_count} must be at least 1.")
        if self.max_words is not None and self.max_words < len(SPECIAL_WORDS):
            raise ValueError(f"--max_words={self.max_words} leaves no room for {', '.join(SPECIAL_WORDS)}.")
        if self.extend_vocabulary and self.vocabulary_file is None:
            raise ValueError("--extend_vocabulary needs --vocabulary_file=PATH to extend.")


def make_vocabulary(training_captions: Iterable[str], options: VocabularyOptions) -> Vocabulary:
    """Returns the vocabulary of a build.

    A built vocabulary is in order of descending count; of equally frequent words `<S>` and `</S>` come first and the
    others in alphabetical order (of code points), so it does not depend on the order of reading. A given vocabulary
    keeps its ids and counts as they stand; when extended, `<UNK>` keeps its id too, and the new words follow it in the
    order above.

    Args:
        training_captions: captions of the train split, words joined by spaces, without `<S>` and `</S>`.
        options: thresholds, and the vocabulary to take or extend.

    Raises:
        ValueError: if there is no training caption to build from, or the given vocabulary is larger than `max_words`.
        FileNotFoundError: if the given file is not there.
    """
    if options.vocabulary_file is None:
        counts = count_words(training_captions)
        if not counts:
            raise ValueError(
                "No training caption to build the vocabulary from. Give the train split photographs, or name a "
                "--vocabulary_file."
            )
        specials = len((UNKNOWN_WORD,))
        return Vocabulary(_frequent(counts, options.min_word_count, options.max_words, specials))
    given = read_vocabulary_file(options.vocabulary_file)
    if options.max_words is not None and len(given) > options.max_words:
        raise ValueError(
            f"{options.vocabulary_file} holds {len(given)} words, more than --max_words={options.max_words}. Raise the "
            "limit: a given vocabulary is never cut."
        )
    if not options.extend_vocabulary:
        return given
    counts = count_words(training_captions)
    for word in given.words:
        counts.pop(word, None)
    old = list(zip(given.words, given.counts, strict=True))
    return Vocabulary(old + _frequent(counts, options.min_word_count, options.max_words, len(old)))


def count_words(captions: Iterable[str]) -> collections.Counter[str]:
    """Counts the words of captions, with `<S>` and `</S>` once per caption."""
    counts: collections.Counter[str] = collections.Counter()
    number = 0
    for words in captions:
        counts.update(words.split(" "))
        number += 1
    if number:
        counts[START_WORD] = counts[END_WORD] = number
    return counts


def read_vocabulary_file(path: str) -> Vocabulary:
    """Reads a `word_counts.txt`; FileNotFoundError naming the path if it is not there."""
    if not storage.exists(path):
        raise FileNotFoundError(f"No vocabulary {path!r} (--vocabulary_file).")
    return Vocabulary.from_text(storage.read_text(path), path)


def _frequent(
    counts: collections.Counter[str], min_count: int, max_words: int | None, taken: int
) -> list[tuple[str, int]]:
    """Returns the words that count, `<S>` and `</S>` always among them if they are in `counts`."""
    order = {word: rank for rank, word in enumerate((START_WORD, END_WORD))}
    ranked = sorted(counts.items(), key=lambda item: (-item[1], order.get(item[0], len(order)), item[0]))
    kept = [(word, count) for word, count in ranked if count >= min_count or word in order]
    if max_words is None:
        return kept
    room = max_words - taken - sum(word in order for word, _ in kept)
    limited = []
    for word, count in kept:
        if word in order:
            limited.append((word, count))
        elif room > 0:
            limited.append((word, count))
            room -= 1
    return limited
