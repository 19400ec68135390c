"""Words and their ids, and the file `word_counts.txt` they live in.

The file holds `word count` per line, most frequent first; a word's id is its line number from 0. `<UNK>` is not in
the file: its id is one past the last. This is the original im2txt's file, readable and writable both ways. Ids differ
from file to file (also those of `<S>` and `</S>`), so a vocabulary belongs to its shards and its checkpoint.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence

START_WORD = "<S>"
END_WORD = "</S>"
UNKNOWN_WORD = "<UNK>"
SPECIAL_WORDS = (START_WORD, END_WORD, UNKNOWN_WORD)
FILE_NAME = "word_counts.txt"

# Builds of the original under Python 3 wrote str(bytes): b'a' 969108.
_BYTES_LITERAL = re.compile(r"b'[^']*'|b\"[^\"]*\"")


class Vocabulary:
    """An immutable two-way table of words and ids.

    Attributes:
        words: every word by id, `<UNK>` included.
        counts: occurrences of each word in the training captions; 0 for `<UNK>` unless the file counts it.
        start_id: id of `<S>`.
        end_id: id of `</S>`.
        unknown_id: id of `<UNK>`.
    """

    def __init__(self, word_counts: Iterable[tuple[str, int]]):
        """Builds the table from (word, count) in order of id; `<UNK>` is appended if absent.

        Raises:
            ValueError: if a word is empty, holds white space or occurs twice, or `<S>` or `</S>` is absent.
        """
        pairs = list(word_counts)
        if all(word != UNKNOWN_WORD for word, _ in pairs):
            pairs.append((UNKNOWN_WORD, 0))
        self.words: tuple[str, ...] = tuple(word for word, _ in pairs)
        self.counts: tuple[int, ...] = tuple(count for _, count in pairs)
        self._ids = {word: word_id for word_id, word in enumerate(self.words)}
        for word_id, word in enumerate(self.words):
            if not word or len(word.split()) != 1:
                raise ValueError(f"Word {word_id} is {word!r}; a word is not empty and holds no white space.")
            if self._ids[word] != word_id:
                raise ValueError(f"Word {word!r} stands twice in the vocabulary; ids must be unique.")
        for word in (START_WORD, END_WORD):
            if word not in self._ids:
                raise ValueError(
                    f"The vocabulary of {len(self.words)} words lacks {word!r}. Build it with "
                    "`python -m data_prep.build_shards`, or name the word_counts.txt of the original build."
                )
        self.start_id = self._ids[START_WORD]
        self.end_id = self._ids[END_WORD]
        self.unknown_id = self._ids[UNKNOWN_WORD]

    def __len__(self) -> int:
        """The number of words, `<UNK>` included; a decoder has at least as many rows."""
        return len(self.words)

    def word_to_id(self, word: str) -> int:
        """Returns the word's id, or `unknown_id`."""
        return self._ids.get(word, self.unknown_id)

    def id_to_word(self, word_id: int) -> str:
        """Returns the word, or `<UNK>` for an id past the end (rows a decoder may have to spare).

        Raises:
            ValueError: if the id is negative.
        """
        if word_id < 0:
            raise ValueError(f"Word id {word_id} is negative.")
        return self.words[word_id] if word_id < len(self.words) else UNKNOWN_WORD

    def encode(self, words: Sequence[str]) -> list[int]:
        """Returns the ids of a caption's words with `<S>` before and `</S>` behind them."""
        return [self.start_id, *map(self.word_to_id, words), self.end_id]

    def decode(self, word_ids: Sequence[int]) -> list[str]:
        """Returns the words between `<S>` and the first `</S>` (or the end of a caption that has none)."""
        words = []
        for position, word_id in enumerate(word_ids):
            if word_id == self.end_id:
                break
            if position == 0 and word_id == self.start_id:
                continue
            words.append(self.id_to_word(int(word_id)))
        return words

    def to_text(self) -> str:
        """Returns the content of `word_counts.txt`: no final newline, as in the original."""
        pairs = zip(self.words, self.counts, strict=True)
        return "\n".join(f"{w} {c}" for w, c in pairs if w != UNKNOWN_WORD or c or w != self.words[-1])

    def fingerprint(self) -> str:
        """Returns a SHA-256 (hex) of words in order of id; counts do not enter it."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    @classmethod
    def from_text(cls, text: str, name: str = FILE_NAME) -> Vocabulary:
        r"""Reads the content of a `word_counts.txt`.

        Blank lines are skipped, a missing count reads as 0, and `b'word'` as `word`.

        Args:
            text: the file's content.
            name: the file's name, for messages.

        Raises:
            ValueError: naming the file and line of a count that is no number, or what `__init__` raises.
        """
        pairs = []
        for number, line in enumerate(text.split("\n"), start=1):
            fields = line.split()
            if not fields:
                continue
            word = _plain_word(fields[0])
            if len(fields) > 2 or (len(fields) == 2 and not fields[1].isdecimal()):
                raise ValueError(f"{name}, line {number}: {line!r} is not of the form `word count`.")
            pairs.append((word, int(fields[1]) if len(fields) == 2 else 0))
        try:
            return cls(pairs)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _plain_word(field: str) -> str:
    if not _BYTES_LITERAL.fullmatch(field):
        return field
    try:
        return str(ast.literal_eval(field).decode())
    except (SyntaxError, UnicodeDecodeError):  # A word that only looks like it.
        return field
