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

CHAR_SPACE = "▁"  # U+2581: visible, and not white space

_TWO_WORDS = {
    "cannot": ["can", "not"],
    "gimme": ["gim", "me"],
    "gonna": ["gon", "na"],
    "gotta": ["got", "ta"],
    "lemme": ["lem", "me"],
    "wanna": ["wan", "na"],
}

# ---- coco. The rules stand in an order that gives the longest match of Stanford's lexer. What no
# rule takes is dropped: white space, quotation marks, . , : ; ? ! - -- ... and emoji.

_ABBREVIATIONS = (
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|"
    r"ala|ariz|calif|colo|conn|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|"
    r"va|vt|wis|wyo|ste?|ave|blvd|rd|sq|mt|ft|bldg|"
    r"mrs?|ms|dr|prof|gen|gov|sens?|reps?|col|lt|sgt|capt|maj|cmdr|adm|rev|hon|pres|supt|det|insp|"
    r"pvt|pfc|spc|jr|sr|esq|ph\.d|messrs|mme|mlle|"
    r"bros|co|corp|inc|ltd|plc|assn|dept|univ|est|elec|natl|intl|etc|vs|al|cf|tel|ext"
)
_ABBREVIATIONS_IN_CAPITALS = "Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_SENTENCE_STARTS = (
    "A|An|As|At|But|He|Here?|If|In|It|Many|One|Other|She|Some|That|The|Their|There|These|They|"
    "This|We|What|When|While|You"
)

_COCO_CHARACTERS = str.maketrans(
    {"’": "'", "\u00ad": "", "£": "#", "€": "$", "¢": " cents "}
    | {"¼": " 1/4 ", "½": " 1/2 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 "}
)
_COCO_BRACKETS = str.maketrans({"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"})


@functools.cache
def _coco_lexer() -> re.Pattern[str]:
    # \w lacks the combining marks, without which Hindi or Tamil words would fall to pieces.
    marks = "".join(c for c in map(chr, range(0x300, 0xFE00)) if unicodedata.category(c)[0] == "M")
    letter = rf"[\w{marks}]"  # or a digit, or "_"
    start = rf"(?:(?!\d){letter})"
    end = rf"(?!{letter})"
    slash_part = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
    capitals = f"{_ABBREVIATIONS_IN_CAPITALS}|{_ABBREVIATIONS_IN_CAPITALS.upper()}"
    sentence_start = rf"\s*(?:$|(?:{_SENTENCE_STARTS}){end})"
    return re.compile(
        rf"""
          [A-Za-z]+(?!\S)                                          # most words, quickly
        | </?[A-Za-z!][^<>\s]*>                                    # <b>
        | https?://[^\s"<>|(){{}}]*[^\s"<>|(){{}}.,;:!?']
        | {letter}+(?:[.-]{letter}+)*@{letter}+(?:\.{letter}+)*    # me@home.org
        | [@\#]{start}{letter}*                                    # #hashtag
        | [:;=]-?[()DP]{end}                                       # :-)
        | {slash_part}(?:/{slash_part}){{1,2}}{end}                # and/or, 1/2
        | {start}{letter}*?(?=(?i:n['`]t){end}) | (?i:n['`]t){end}           # do|n't
        | (?<!')'(?i:s|m|d|re|ve|ll){end}                                    # man|'s, we|'ll
        | (?<!['\d])'(?i:t(?=is|was)|n'|n(?![\w.])|(?:em|till?|cause){end})  # rock|'n'|roll
        | (?<!['\d])'(?:[2-9]0[sS]{end}|\d\d(?![-\w'%]|[.,:]\d))             # '70s, '05
        | (?:[DOLdol]'(?={letter})|[A-HJ-XZn]'(?={letter}{{3}})){letter}+(?:[-‐]{letter}+)*
        | (?i:c'm|ma'a|s'more){letter}+ | [Yy]'(?={letter}) | (?i:ol)'{end}
        | {letter}+(?:[.,]{letter}+)*(?:[.,]?[-‐]{letter}+)+       # two-tiered, 5.5-inch
        | [A-Za-z]\.(?:[A-Za-z]\.)+{end}                           # U.S.
        | [A-Za-z]\.(?!{start}|{sentence_start})                   # J. K. Rowling
        | (?:(?i:{_ABBREVIATIONS})|{capitals})\.(?!{start})
        | (?i:nos?|figs?|pp|ca|op)\.(?=\ ?\d)                      # no. 5, but: he said no|.
        | {start}{letter}*(?:-{letter}+)*\.(?=[,;:])               # the period of "bldg.," stays
        | {start}{letter}*(?:[.!?]{start}{letter}*)+               # x.com, dogs.one
        | [A-Z]+(?:&[A-Z]+)+ | [A-Z]{{1,2}}\$ | [Cc]\+\+ | [Cc]\#  # AT&T, US|$|5
        | [+-]?\d*(?:[.,:]\d+)+ | [+-]\d+                          # 5:30, 1,000
        | {letter}+
        | [!?]{{2,}} | \*+ | -{{5,}} | \#+
        | [^\s.,:;?!'"`‘“”«»‹›…‒–—―\u200b-\u200f\ufe00-\ufe0f\ufeff\U00010000-\U0010ffff-]
        """,
        re.VERBOSE,
    )


def _coco(caption: str) -> list[str]:
    """Stanford's `PTBTokenizer -lowerCase`, less the punctuation that coco-caption deletes.

    The quirks are Stanford's, and kept because published scores have them: `u.s.` and `etc.` hold
    their period, brackets become `-lrb-` and `-rrb-` and stay, so do `!!` and `&`; `£` becomes `#`.
    Differs in curly apostrophes (made straight everywhere), in HTML entities (left alone), in some
    faces, and where Stanford looks across the line's end: `the letter b.` loses its period here, and
    there only if the next caption in the file begins with a word such as `A`.
    """
    words = []
    text = unicodedata.normalize("NFC", caption).translate(_COCO_CHARACTERS)
    for match in _coco_lexer().findall(text):
        word = unicodedata.normalize("NFC", match.lower())
        words += _TWO_WORDS.get(word) or [word.translate(_COCO_BRACKETS)]
    return words


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
    if _PLAIN.fullmatch(text) and not any(joined in text for joined in _TWO_WORDS):
        return text.replace(",", " ,").replace(".", " .").split()
    return _nltk_tokenizer().tokenize(text)


def _clean(caption: str) -> list[str]:
    """Brownlee's rules: lower case, no punctuation, no one-letter words, letters only.

    What is no letter to `str.isalpha` goes with its whole word: digits, and the combining marks of
    Hindi or Thai; these rules suit English.
    """
    words = _lower(caption).translate(_NO_PUNCTUATION).split()
    return [word for word in words if len(word) > 1 and word.isalpha()]


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

_SHOWN = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"} | {
    "``": '"',
    "''": '"',
    "`": "'",
}
_JOINS_BEFORE = re.compile(r"[.,:;!?…]+|[\])}%'’”»]|'(?:s|m|d|re|ve|ll)|n't", re.IGNORECASE)
_JOINS_AFTER = re.compile(r"[\[({$#`“«]|'t")
_JOINED_PAIRS = {tuple(pair) for pair in _TWO_WORDS.values()} | {
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
        shown = _SHOWN.get(word, word)
        opens_quotes = shown == '"' and word != "''" and not inside_quotes
        closes_quotes = shown == '"' and not opens_quotes
        if closes_quotes or _JOINS_BEFORE.fullmatch(shown) or (previous, word) in _JOINED_PAIRS:
            joins = True
        text += shown if joins else " " + shown
        joins = opens_quotes or bool(_JOINS_AFTER.fullmatch(shown))
        inside_quotes = opens_quotes or (inside_quotes and not closes_quotes)
        previous = word
    return text
