"""Captions to words, and words back to a caption that reads well.

Every tokenizer takes one caption and returns its words in order: Unicode in normal form C, never
empty, never holding white space (`word_counts.txt` separates by it). None adds `<S>` or `</S>`.
Only `whitespace` returns the special words `<S>`, `</S>` and `<UNK>`, where a caption spells them
so; whoever builds a vocabulary decides what becomes of those.
"""

import difflib
import functools
import re
import string
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from im2txt.text.coco_tokenization import TWO_WORDS, coco_tokens_of_one

CHAR_SPACE = "▁"  # U+2581: visible, and not white space


def _coco(caption: str) -> list[str]:
    """Stanford's `PTBTokenizer -lowerCase`, less the punctuation that coco-caption deletes.

    `im2txt.text.coco_tokenization` tells what is odd about it. One caption alone stands as if another followed that
    begins with a word such as `A`: `the letter b.` loses its period.
    """
    normal = unicodedata.normalize("NFC", caption)
    return [unicodedata.normalize("NFC", word) for token in coco_tokens_of_one(normal) for word in token.split()]


# ---- The others.

_PLAIN = re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*(?: ,|,)? )*[a-z0-9]+(?:-[a-z0-9]+)* ?\.?")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@functools.cache
def _nltk_tokenizer() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer  # a third of a second to import

    return NLTKWordTokenizer()


def _lower(caption: str) -> str:
    return unicodedata.normalize("NFC", caption.lower())


def _treebank(caption: str) -> list[str]:
    """Penn Treebank words, lower-cased, punctuation kept: NLTK's, without its downloaded data.

    Equal to im2txt's `nltk.tokenize.word_tokenize(caption.lower())` for a caption of one sentence.
    `word_tokenize` splits sentences first; here `two dogs. one cat.` keeps the word `dogs.`, since
    only the last period of a caption becomes a word of its own.
    """
    text = " ".join(_lower(caption).split())
    # Most captions need none of NLTK's substitutions, which take 20 times as long as this.
    if _PLAIN.fullmatch(text) and not any(joined in text for joined in TWO_WORDS):
        return text.replace(",", " ,").replace(".", " .").split()
    return _nltk_tokenizer().tokenize(text)


def _clean(caption: str) -> list[str]:
    """Brownlee's rules: lower case, no punctuation, no one-letter words, letters only.

    What is no letter to `str.isalpha` goes with its whole word: digits, and the combining marks of
    Hindi or Thai; these rules suit English.
    """
    words = _lower(caption).translate(_NO_PUNCTUATION).split()
    return [word for word in words if len(word) > 1 and word.isalpha()]


def _clean_digits(caption: str) -> list[str]:
    """Brownlee's earlier rules, of his page on preparing captions: as `clean`, and digits may stay."""
    return [word for word in _lower(caption).translate(_NO_PUNCTUATION).split() if len(word) > 1]


def _whitespace(caption: str) -> list[str]:
    """What stands between white space, case kept: for captions that are tokenized already."""
    return unicodedata.normalize("NFC", caption).split()


def _char(caption: str) -> list[str]:
    """Lower-case characters (code points); each run of white space inside is one `CHAR_SPACE`."""
    return list(CHAR_SPACE.join(_lower(caption).split()))


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "treebank": _treebank,
    "coco": _coco,
    "clean": _clean,
    "whitespace": _whitespace,
    "char": _char,
    "clean_digits": _clean_digits,
}


def tokenizer(name: str) -> Callable[[str], list[str]]:
    """The function from one caption to its words, of that name in `TOKENIZERS`.

    Raises:
        ValueError: no tokenizer has that name.
    """
    if name not in TOKENIZERS:
        close = difflib.get_close_matches(name, TOKENIZERS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown tokenizer {name!r}; choose from {', '.join(TOKENIZERS)}.{hint}")
    return TOKENIZERS[name]


# ---- Words to a caption that reads well.

SHOWN = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"} | {
    "``": '"',
    "''": '"',
    "`": "'",
}
JOINS_BEFORE = re.compile(r"[.,:;!?…]+|[\])}%'’”»]|'(?:s|m|d|re|ve|ll)|n't", re.IGNORECASE)
JOINS_AFTER = re.compile(r"[\[({$#`“«]|'t")
JOINED_PAIRS = {tuple(pair) for pair in TWO_WORDS.values()} | {
    ("’", ending) for ending in ("s", "t", "m", "d", "re", "ve", "ll")
}


def detokenize(words: Iterable[str], tokenizer_name: str) -> str:
    """A caption for people from the words of the tokenizer of that name.

    `a man 's hat .` becomes `a man's hat.`; the case stays as it is. What the tokenizer dropped does
    not come back. To score a caption, join its words by spaces instead: `on a .` shown as `on a.`
    reads as an abbreviation to some tokenizers.

    Raises:
        ValueError: no tokenizer has that name.
    """
    if tokenizer(tokenizer_name) is _char:
        return "".join(words).replace(CHAR_SPACE, " ")
    text, previous, inside_quotes, joins = "", "", False, True
    for word in words:
        shown = SHOWN.get(word, word)
        opens_quotes = shown == '"' and word != "''" and not inside_quotes
        closes_quotes = shown == '"' and not opens_quotes
        if closes_quotes or JOINS_BEFORE.fullmatch(shown) or (previous, word) in JOINED_PAIRS:
            joins = True
        text += shown if joins else " " + shown
        joins = opens_quotes or bool(JOINS_AFTER.fullmatch(shown))
        inside_quotes = opens_quotes or (inside_quotes and not closes_quotes)
        previous = word
    return text
