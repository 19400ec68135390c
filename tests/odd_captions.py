"""Made captions with everything that parts one tokenizer from another, the same on every machine."""

# ruff: noqa: SIM905 (lists of forms read better as one string)

from __future__ import annotations

import random
from collections.abc import Callable

_WORDS = (
    "a the two man woman dog cat child boy girl people in on with of and at near red black white small large old young "
    "runs jumps sits stands holds plays rides beside street grass beach water ball bike shirt hat table road snow "
    "building field frisbee horse rock sun no etc is are his her one three group wearing through front"
).split()
_NUMBERS = "1 2 3 5 7 10 12 22 50 100 1950 2011".split()
_NUMBER_FORMS = (
    "{0} {1}/{2}|{0}-{1}/{2}|{1}/{2}|{0}.{1}|{0},{1}|{0}:{1}|${0}|$ {0}.{1}|{0}%|{0}th|{0}x{1}|{0}s|'{0}s|{0}'s|#{0}|"
    "no. {0}|{0}am|{0} p.m.|{0}:{1}pm|{0}-{1}|-{0}|+{0}|{0}ft|{0}\"|{0}'|{0}' {1}\"|{0}-inch|{0}mm|{0}/{1}/{2}|({0})|"
    "{0}.|.{0}|{0}½|½|¾ cup|{0} ¼|{0}°|£{0}|€{0}|{0}¢|{0}+|{0}=2|A{0}|3-D|{0}&{1}|{0}*{1}|~{0}|{0}...{1}|{0}–{1}|"
    "{0}\u00a0{1}/{2}|x²|{0}²|{0}⁄{1}|{0} {1}/{2}-inch|{0}.{1}-inch|{0},{1}-seat"
).split("|")
_CLITIC_HEADS = "i we they he she it that who what there let you man dogs women child boss rock fish o".split()
_CLITIC_TAILS = "'s ’s 'S 'm 'd ’d 're ’re 've 'll ’ll 'n s' 'em 'til `s".split()
_NOT_HEADS = "do does did is was were have had wo ca could would should must need ai are".split()
_NOT_TAILS = "n't n’t N'T nt n't've n`t".split()
_BRACKET_FORMS = (
    "({0})|[{0}]|{{{0}}}|( {0} )|({0}|{0})|<{0}>|</{0}>|<{0} {1}>|<< {0} >>|\"{0}\"|'{0}'|``{0}''|“{0}”|‘{0}’|«{0}»|"
    "({0}).|({0}'s)|{0}(s)|''{0}''|„{0}“|‹{0}›"
).split("|")
_HYPHEN_FORMS = (
    "{0}-{1}|{0}-{1}-{2}|{0} -{1}|{0}- {1}|{0} - {1}|{0}--{1}|{0} -- {1}|{0}---{1}|{0}–{1}|{0} – {1}|{0}—{1}|5-{0}|"
    "5-{0}-{1}|{0}-5|T-{0}|{0}‐{1}|{0}‑{1}|{0}-{1}'s|{0}-|-{0}|{0}_{1}|__{0}|{0}/{1}|{0} / {1}|{0}/{1}/{2}|{0}-{1}/{2}|"
    "{0}\\{1}|{0}&{1}|{0} & {1}|{0}+{1}|{0}={1}|{0}−{1}"
).split("|")
_POINT_FORMS = (
    "{0}.|{0}..|{0}...|{0} . . .|{0}…|{0}!|{0}!!|{0}?!|{0}?|{0},{1}|{0}.{1}|{0}. {1}|{0}!{1}|{0};{1}|{0}:{1}|{0}..{1}|"
    '{0}...{1}|{0}.,|{0}.)|{0}."|* {0}|*{0}*|{0}*|#{0}|@{0}|# {0}|@ {0}|{0}@{1}.com|{0}.com|www.{0}.com|~{0}~|{0}^|'
    "|{0}%|%|$|&|&amp;|{0}&amp;{1}|&lt;{0}&gt;|{0}.jpg|:)|:-)|;)|:(|:D|:P|:/|<3|xD|^_^|=)|'|\"|`|_|+|=|\\|/|•|·|©|®|™|§|→|"
    "★|♥|😀|{0}😀|❤️"
).split("|")
_ABBREVIATIONS = (
    "Mr. Mrs. Dr. St. Ave. Jr. Inc. Co. Ltd. etc. vs. U.S. U.S.A. U.K. D.C. a.m. p.m. A.M. i.e. e.g. Ph.D. No. Jan. "
    "Sept. Mt. Ft. ft. in. oz. lb. Calif. N.Y. L.A. J. J.K. T.V. Blvd. Rd. Gen. Capt. max. sq. Dept. Univ. B. C. a. "
    "i. D.J. Bros. Sat. Mon. Sun. Fig. pp. ca. Va. Pa. La. Mass. Tex."
).split()
_ABBREVIATION_FORMS = "{0}|{0}|{0} {1}|{0} A|{0} The|{0}'s|{0},|{0}-{1}|({0})".split("|")
_UNICODE = (
    "café naïve Zoë straße Ångström собака 日本語 犬 한국어 हिन्दी தமிழ் ไทย العربية עברית cafe\u0301 ﬁsh １２３ ⅷ ① ㎏ "
    "\u200bzero soft\u00adhyphen a\u00a0b a\u3000b İ ª µ Ω 𝒜 ′ ″ ¿ ¡ ± × ³ ⅓ ⅛ ¥ № ― ‑ ， ！ （ ） 「 」 。 · 〜"
).split(" ")
_UNICODE_FORMS = "{0}|{0}|{0}{1}|{1}{0}|{0}'s|{1}{0}{2}|{0}-{1}|{0}.|{0},".split("|")
_ENDS = ["", " .", ".", "!", "?", " ..", "...", ",", ".", "."]


def odd_references(num_images: int, seed: int = 0) -> dict[int, list[str]]:
    """Five captions for each image; a tenth of them plain, some empty, some of one word."""
    source = random.Random(seed)
    return {image_id: [_caption(source) for _ in range(5)] for image_id in range(num_images)}


def _caption(source: random.Random) -> str:
    words = source.choices(_WORDS, k=source.choice([0, 1, 1, *range(2, 15)]))
    if source.random() < 0.3:
        words = [word.capitalize() if source.random() < 0.3 else word for word in words]
    if source.random() < 0.9:
        for _ in range(source.choice([1, 1, 2])):
            words.insert(source.randint(0, len(words)), source.choice(_ODDITIES)(source))
    return " ".join(words) + source.choice(_ENDS)


def _filled(forms: list[str], fillers: list[str]) -> Callable[[random.Random], str]:
    """Makes a random one of the forms, with random words in its gaps."""
    return lambda source: source.choice(forms).format(*source.choices(fillers, k=3))


def _joined(heads: list[str], tails: list[str]) -> Callable[[random.Random], str]:
    return lambda source: source.choice(heads) + source.choice(tails)


def _with_first(forms: list[str], first: list[str]) -> Callable[[random.Random], str]:
    return lambda source: source.choice(forms).format(source.choice(first), *source.choices(_WORDS, k=2))


_ODDITIES = (
    _filled(_NUMBER_FORMS, _NUMBERS),
    _joined(_CLITIC_HEADS, _CLITIC_TAILS),
    _joined(_NOT_HEADS, _NOT_TAILS),
    _filled(_BRACKET_FORMS, _WORDS),
    _filled(_HYPHEN_FORMS, _WORDS),
    _filled(_POINT_FORMS, _WORDS),
    _with_first(_ABBREVIATION_FORMS, _ABBREVIATIONS),
    _with_first(_UNICODE_FORMS, _UNICODE),
)
