"""What the Keras tutorials print of Flickr8k's captions: counts that say whether a copy of the data is theirs.

Source: Brownlee (2017), "How to Prepare a Photo Caption Dataset for Training a Deep Learning Model" (`FIRST_...`: the
first description of each photograph, digits kept, no start and end words) and "How to Develop a Deep Learning Photo
Caption Generator from Scratch" (all descriptions, letters only, a start and an end word around each).
"""

from __future__ import annotations

from collections.abc import Iterable

from data_prep.sources.base import read_source_text
from data_prep.sources.flickr8k import SPLIT_LISTS, TOKEN_FILE, read_token_file
from im2txt.system import storage
from im2txt.text.tokenization import tokenizer

PUBLISHED = {
    "first descriptions": 8092,
    "first descriptions: words": 4484,
    "first descriptions: rows of the word table": 4485,
    "first descriptions: longest": 28,
    "first descriptions: pairs": 66456,
    "train: rows of the word table": 7579,
    "train: longest": 34,
    "train: pairs": 306404,
    "dev: pairs": 50903,
}
"""The figures in the tutorials."""


def tutorial_figures(text_dir: str) -> dict[str, int]:
    """Counts what the tutorials print, under the names of `PUBLISHED`.

    A pair is the words of a description so far and the next one: n words give n - 1. The word table has a row for
    padding. Words of `dev` that `train` lacks are left out there.

    Args:
        text_dir: folder of Flickr8k's token file and split lists.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the token file is damaged.
    """
    descriptions: dict[str, list[str]] = {}
    for name, captions in read_token_file(storage.join(text_dir, TOKEN_FILE)).items():
        descriptions.setdefault(_photograph(name), []).extend(captions)
    return _of_first_descriptions(descriptions) | _of_splits(descriptions, text_dir)


def _of_first_descriptions(descriptions: dict[str, list[str]]) -> dict[str, int]:
    words_of = tokenizer("clean_digits")
    firsts = [words_of(captions[0]) for captions in descriptions.values()]
    words = {word for first in firsts for word in first}
    return {
        "first descriptions": len(firsts),
        "first descriptions: words": len(words),
        "first descriptions: rows of the word table": len(words) + 1,
        "first descriptions: longest": max(map(len, firsts)),
        "first descriptions: pairs": _num_pairs(firsts),
    }


def _of_splits(descriptions: dict[str, list[str]], text_dir: str) -> dict[str, int]:
    words_of = tokenizer("clean")

    def captions_of(split: str) -> list[list[str]]:
        lines = read_source_text(storage.join(text_dir, SPLIT_LISTS[split])).split()
        return [
            ["startseq", *words_of(caption), "endseq"]
            for name in lines
            for caption in descriptions.get(_photograph(name), [])
        ]

    train = captions_of("train")
    words = {word for caption in train for word in caption}
    known = [[word for word in caption if word in words] for caption in captions_of("val")]
    return {
        "train: rows of the word table": len(words) + 1,
        "train: longest": max(map(len, train), default=0),
        "train: pairs": _num_pairs(train),
        "dev: pairs": _num_pairs(known),
    }


def _num_pairs(captions: Iterable[list[str]]) -> int:
    return sum(max(len(words) - 1, 0) for words in captions)


def _photograph(name: str) -> str:
    """The tutorials' id of a photograph: its file's name up to the first period."""
    return name.partition(".")[0]
