r"""Captions to the words that coco-caption scores: Stanford's `PTBTokenizer -lowerCase`, without Java.

The quirks are Stanford's, and kept because published scores have them: `u.s.` and `etc.` hold their period, brackets
become `-lrb-` and `-rrb-` and stay, so do `!!` and `&`; `£` becomes `#`; `22 3/4` is one token with a no-break space in
it, which ROUGE-L takes for one word and BLEU and CIDEr-D for two; and whether a caption that ends in `the letter b.`
has the word `b.` or `b` depends on the caption after it, because coco-caption tokenizes all of them as one text.

Differs in what nobody writes: letters that Unicode gained after its version 6 are letters here and dropped there, and
line separators other than a newline are spaces here, where coco-caption's captions slip by a line.

Source: Stanford CoreNLP 3.4.1, which coco-caption calls, watched on real captions, on made ones and on each character.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

NO_BREAK_SPACE = "\u00a0"

TWO_WORDS = {
    "cannot": ["can", "not"],
    "gimme": ["gim", "me"],
    "gonna": ["gon", "na"],
    "gotta": ["got", "ta"],
    "lemme": ["lem", "me"],
    "wanna": ["wan", "na"],
}

# ---- The lexer. Its rules stand in an order that gives the longest match of Stanford's. What no rule takes is dropped:
# white space, quotation marks, . , : ; ? ! - -- ...

# Keep their period also where one letter follows it: "inc.a" is "inc." and "a".
_ABBREVIATIONS = (
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|"
    r"ala|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt|wisc?|wyo|"
    r"jr|sr|esq|ph\.d|bros|cos?|corp|inc|ltd|plc|rt|bancorp|bhd|pte|assn|univ|intl|sys|est|sq|bldg|blvd|rd|etc|al|tel|ext"
)
_ABBREVIATIONS_IN_CAPITALS = "Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_TITLES = (
    r"ste?|ave|mt|ft|mrs?|ms|drs?|profs?|gen|govs?|sens?|reps?|col|lt|lieut|sgt|capt|maj|cmdr|cpl|brig|"
    r"adm|rev|hon|pres|supts?|det|insp|pvt|pfc|spc|msgr|messrs|mme|mlle|dept|elec|natl|mfg|pty|cie|asst|assoc|attys?|vs|cf|seq"
)
_SENTENCE_STARTS = (
    r"(?:A|About|After|An|As|At|But|Earlier|He|Her|Here|However|If|In|It|Last|Many|More|Mr\.|Ms\.|Now|Once|One|Other|Our|"
    r"She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|While|Yet|You|</?[A-Za-z][^<>]*>)"
    r"(?:\s|$)"
)
_BEFORE_NUMBERS = "nos?|figs?|pp|ca|op|art"
_FILE_ENDINGS = "avi|bmp|doc|docx|exe|gif|gz|htm|html|jpeg|jpg|mov|mp3|mp4|pdf|php|png|ppt|tar|txt|xml|zip"


@functools.cache
def _lexer() -> re.Pattern[str]:
    start, letter, character = r"[A-Za-zé\u0301]", "[A-Za-zé]", r"[A-Za-z0-9é٠\u0301]"
    part = r"[A-Za-z0-9é٠]+"  # of a hyphenated word
    end = f"(?!{character})"
    apostrophe = r"['’]"
    clitic = rf"{apostrophe}(?:[msdMSD]|re|ve|ll|RE|VE|LL)(?![A-Za-z])"
    any_apostrophe = r"['’`‘]"
    slash_part = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
    capitals = f"{_ABBREVIATIONS_IN_CAPITALS}|{_ABBREVIATIONS_IN_CAPITALS.upper()}"
    attribute = r"""\ +[A-Za-z][\w.-]*(?:="[^"]*"|='[^']*')?"""
    elided_start = rf"[DOLdol]{any_apostrophe}{letter}"
    hyphened = rf"(?:{elided_start})?{part}"
    return re.compile(
        rf"""
          [A-Za-z]+(?!\S)                                          # most words, quickly
        | (?i:cont'd)\. | &(?:[A-Za-z]+|\#\d+);
        | <[A-Za-z][\w:.-]*(?:{attribute})*\ */?> | </[A-Za-z][\w:.-]*\ *> | <[!?][A-Za-z-][^>]*>   # <b>
        | (?:www\.(?:[^\s"<>|.!?(){{}},]+\.)+[A-Za-z]{{2,4}} | (?:[a-z]+\.)+(?:com|net|org|edu){end})
          (?:/[^\s"<>|()]+[^\s"<>|.!?(){{}},-])?
        | https?://[^\s"<>|(){{}}]*[^\s"<>|(){{}}.,;:!?'-]
        | [A-Za-z0-9][^\s"<>|(){{}}]*@(?:[^\s"<>|(){{}}.]+\.)*[^\s"<>|(){{}}.]+          # me@home.org
        | @[A-Za-z_][A-Za-z_0-9]* | \#{start}+                     # @home, #hashtag
        | [<>]?[:;=][-o*']?(?:[()DPdpO\\{{@|\[\]]|(?<=:)3)(?![A-Za-z0-9])     # :-)
        | [-^x=~<>']_[-^x=~<>'] | \([-^x=~<>'][_.]?[-^x=~<>']\) | \([\^x=~<>']-[\^x=~<>'`]\)
        | (?:\([0-9]{{2,3}}\)\ ?|(?:\+\+?)?(?:[0-9]{{2,4}}[-\ ])?[0-9]{{2,4}}[-\ ])[0-9]{{3,4}}[-\ ]?[0-9]{{3,5}}
        | \d{{1,4}}[-\ ]\d{{1,4}}(?:\\?/|⁄)\d{{1,4}} | \d{{1,4}}(?:\\/|⁄)\d{{1,4}}      # 22 3/4
        | {slash_part}(?:/{slash_part}){{1,2}}                     # and/or, 1/2
        | {start}{character}*?(?=(?i:n{any_apostrophe}t)) | (?i:n{any_apostrophe}t){end}     # do|n't
        | {start}{character}*(?:[.!?]{start}{character}*)*(?={clitic}) | '' | {clitic}  # man|'s, we|'ll
        | (?<!['\d])'(?i:t(?=is|was))
        | (?<!['’\d]){apostrophe}(?i:n{apostrophe}|n(?=\s|$)|(?<=’)n|em|till?|cause)  # rock|'n'|roll
        | (?<!['’\d])(?:{apostrophe}[2-9]0[sS]{end} | '\d\d(?![-\w'%]|[.,:]\d))             # '70s, '05
        | (?:[A-HJ-XZn]{any_apostrophe}{letter}{{2}}){letter}*
        | (?:{letter}+[aeiouyAEIOUY]{any_apostrophe}[aeiouA-Z]|[Oo]{any_apostrophe}o){letter}*
        | (?i:c'm|ma'a|s'more|nor'e){letter}+ | (?i:cap'n){end} | [Yy]{apostrophe}(?={letter}) | (?i:ol)'{end}
        | (?:(?i:{_ABBREVIATIONS})|{capitals})\.(?!{start}{character}|-[A-Za-z0-9]{{2}})
        | {character}+(?:[-_‐]{character}+)*\.(?=[,;:])     # the period of "bldg.," stays
        | [A-Za-z0-9]+[.,][A-Za-z0-9.,]*(?:-[A-Za-z0-9]+)+ | {hyphened}(?:[-_‐]{hyphened})+    # 5.5-inch, two-tiered
        | {elided_start}{part} | [lLdDjJ]{apostrophe}
        | [A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*\.(?:{_FILE_ENDINGS}){end}
        | [A-Za-z]\.(?:[A-Za-z]\.)+{end}                           # U.S.
        | [A-Za-z]\.(?!{start}|\s*(?:$|{_SENTENCE_STARTS}))        # J. K. Rowling
        | (?i:{_TITLES})\.(?!{start})
        | (?i:{_BEFORE_NUMBERS})\.(?=\s?\d)                      # no. 5, but: he said no|.
        | {start}{character}*(?:[.!?]{start}{character}*)+         # x.com, dogs.one
        | [A-Z]+(?:[&+][A-Z]+)+ | [A-Z]+\$ | (?i:c)\+\+ | (?i:[cf])\#  # AT&T, US|$|5
        | [+-]?\d*(?:[.,:]\d+)+ | [+-]\d+                          # 5:30, 1,000
        | {start}{character}* | {part}
        | [!?]{{2,}} | \*+ | -{{2,}} | \#+ | _+ | <<|>> | \.{{3,}} | [²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉]+
        | [^\s\x00.,:;?!'"`’‘‐-]
        """,
        re.VERBOSE,
    )


# ---- Characters. The lexer reads a caption in which one character stands for all of its kind.

_LETTER, _DIGIT, _MARK, _SYMBOL, _NOTHING = "é", "٠", "\u0301", "§", "\x00"
_KINDS = {
    **dict.fromkeys("\u00a0\u3000\t\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029", " "),
    "\n": "\n",
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
    **dict.fromkeys("’\x92", "’"),
    **dict.fromkeys("‘‛\x91", "‘"),
    **dict.fromkeys("‐‑֊", "‐"),
    **dict.fromkeys("€¤₠\x80", _SYMBOL),
    **{character: character for character in "¢£¼½¾⅓⅔⁄²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"},
}
# Code points, in hexadecimal, of what continues a word without being a letter, and of what is a word by itself.
_MARKS = (
    "2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-36f 375 378-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 "
    "615-61a 64b-65e 670 6d6-6e4 6e7-6ed 6fd-6fe 70f 711 730-74c 7a6-7b0 7eb-7f3 900-903 93c 93e-94e 951-955 962-963 "
    "981-983 9bc 9be-9cd 9d7 9e2-9e3 a01-a03 a3c-a4f a81-a83 abc abe-acf b82 bbe-bcd c01-c03 c3e-c56 d3e-d48 e31 "
    "e34-e3a e47-e4e eb1 eb4-ebc ec8-ecd"
)
_SYMBOLS = (
    "a1 a5-a9 ac ae-b1 b4 b6-b8 bf d7 f7 37e 387 589 5be 5c0 5c3 5c6 5f3-603 606-60c 614 61b 61e-61f 66a 66d 6d4 "
    "700-70d 7f6-7f8 964-965 e3f e4f 1fbd 2016-2017 201a 201e-201f 2020-2023 2030-2038 203b 203e-2042 207a-207e "
    "208a-208e 20a4 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127 2129 212e 213a-213b 2140-2144 "
    "214a-214d 214f 2155-215e 2190-2bff 3001-3002 3012 30fb ff01-ff0f ff1a-ff20 ff3b-ff40 ff5b-ff65 ffe0-ffe1 "
    "ffe5-ffe6"
)


class _Kinds(dict[int, str]):
    """For `str.translate`: the character that stands for a code point's kind, found at its first use."""

    def __missing__(self, code: int) -> str:
        self[code] = kind = self._kind(code)
        return kind

    @staticmethod
    def _kind(code: int) -> str:
        character = chr(code)
        if " " <= character <= "~":
            return character
        if character in _KINDS:
            return _KINDS[character]
        for ranges, kind in ((_MARKS, _MARK), (_SYMBOLS, _SYMBOL)):
            bounds = (part.split("-") for part in ranges.split())
            if any(int(bound[0], 16) <= code <= int(bound[-1], 16) for bound in bounds):
                return kind
        category = unicodedata.category(character)
        if code > 0xFFFF or (category != "Nd" and category[0] != "L"):
            return _NOTHING  # Characters beyond the first 65,536, such as emoji, are dropped as well.
        return _DIGIT if category == "Nd" else _LETTER


_kinds = _Kinds()
_SPELLED = {
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "¢": "cents",
    "£": "#",
    "&lt;": "<",
    "&gt;": ">",
}
_SPELLED |= {"[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"} | dict.fromkeys("€¤₠\x80", "$")
_INSIDE = str.maketrans({"(": "-lrb-", ")": "-rrb-", " ": NO_BREAK_SPACE})
_ENTITIES = {"&amp;": "&", "&quot;": '"', "&apos;": "'", "&nbsp;": " "}
_ENTITY = re.compile("|".join(_ENTITIES))
_CURLY_CLITIC = re.compile("[’‘](?:s|m|d|re|ve|ll)|n[’‘]t")


# ---- Captions to words.

_PLAIN = re.compile(r"(?:[A-Za-z]+(?:-[A-Za-z]+)*(?: ,|,)? )*[A-Za-z]+(?:-[A-Za-z]+)*(?: ?\.)?")
_KEEPS_PERIOD = re.compile(
    rf"(?:.*-)?(?:[A-Za-z]|{_ABBREVIATIONS}|{_ABBREVIATIONS_IN_CAPITALS}|{_TITLES}|{_BEFORE_NUMBERS})\.", re.IGNORECASE
)
_SEEN = 50  # characters of the next caption


def coco_tokens(captions: Sequence[str]) -> list[list[str]]:
    """Returns the tokens of each caption, as coco-caption has them if it tokenizes these captions in this order.

    A token may hold a no-break space; see `split_tokens`.
    """
    return [
        _plain_tokens(caption) or _tokens(caption, functools.partial(_following, captions, i + 1))
        for i, caption in enumerate(captions)
    ]


def split_tokens(tokens: list[str]) -> list[str]:
    """Tokens as BLEU and CIDEr-D see them: parted at the no-break spaces that they may hold."""
    if NO_BREAK_SPACE not in "".join(tokens):
        return tokens
    return [word for token in tokens for word in token.split(NO_BREAK_SPACE)]


def coco_tokens_of_one(caption: str) -> list[str]:
    """Returns the tokens of a caption alone: what follows is taken for the begin of a sentence."""
    return _plain_tokens(caption) or _tokens(caption, lambda: "\nA ")


def _plain_tokens(caption: str) -> list[str] | None:
    """The tokens of a caption that needs no lexer, which most do not and which saves nine tenths of the time."""
    if not _PLAIN.fullmatch(caption):
        return None
    tokens = caption.lower().replace(",", " ").split()
    if tokens[-1] == ".":
        tokens.pop()
    elif caption.endswith("."):
        if _KEEPS_PERIOD.fullmatch(tokens[-1]):
            return None
        tokens[-1] = tokens[-1][:-1]
    return tokens if TWO_WORDS.keys().isdisjoint(tokens) else None


def _following(captions: Sequence[str], start: int) -> str:
    """What the lexer sees behind a caption: blank lines and the next caption's first words, or that nothing follows."""
    lines = [""]
    for i in range(start, len(captions)):
        lines.append(captions[i][:_SEEN].replace("\n", " "))
        if lines[-1].strip():
            return "\n".join(lines)
    return "\n".join(lines) + _NOTHING


def _tokens(caption: str, following: Callable[[], str]) -> list[str]:
    """The tokens of one caption; what follows it is asked for only where it matters."""
    if "&" in caption:
        caption = _ENTITY.sub(lambda match: _ENTITIES[match[0]], caption)
    caption = caption.replace("\u00ad", "").replace("\n", " ")
    text = caption.translate(_kinds)
    if text.rstrip().endswith("."):  # Only of a period the lexer asks what stands in the next line.
        text += following().translate(_kinds)
    tokens: list[str] = []
    for match in _lexer().finditer(text):
        if match.start() >= len(caption):
            break
        token = caption[match.start() : match.end()].lower()
        if token.startswith(("...", "''")) or (token.startswith("--") and len(token) < 5):
            continue
        if _CURLY_CLITIC.fullmatch(token):
            token = token.replace("’", "'").replace("‘", "`")
        tokens += TWO_WORDS.get(token) or [_SPELLED.get(token) or token.translate(_INSIDE)]
    return tokens
