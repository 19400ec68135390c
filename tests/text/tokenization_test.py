import random
import subprocess
import sys
import unicodedata

import pytest
from nltk.tokenize.destructive import NLTKWordTokenizer

from im2txt.text.tokenization import CHAR_SPACE, TOKENIZERS, detokenize, tokenizer

# Written out from Stanford's PTBTokenizer 3.4.1 with -lowerCase, less coco-caption's punctuation.
STANFORD = [
    ("A man's hat, the dogs' bowls; two women's coats.", "a man 's hat the dogs bowls two women 's coats"),
    (
        "He can't, won't, doesn't and couldn't've; they're, I'm, we'd, you'll, I've",
        "he ca n't wo n't does n't and could n't 've they 're i 'm we 'd you 'll i 've",
    ),
    ("DON'T walk, it`s red, don`t walk", "do n't walk it s red do n`t walk"),
    (
        "I cannot, gonna, wanna, gotta, gimme, lemme go",
        "i can not gon na wan na got ta gim me lem me go",
    ),
    (
        "'Tis the 3rd 4x4 from the 1950s, the 1950's and the '50s",
        "'t is the 3rd 4x4 from the 1950s the 1950 's and the '50s",
    ),
    (
        "a 21st, 5-year-old, two-tiered, 4-wheeler and 5.5-inch T-shirt",
        "a 21st 5-year-old two-tiered 4-wheeler and 5.5-inch t-shirt",
    ),
    ("at five o'clock Ma'am O'Neil d'Or", "at five o'clock ma'am o'neil d'or"),
    (
        "rock 'n' roll, rock'n'roll and fish 'n chips, get 'em",
        "rock 'n' roll rock 'n' roll and fish 'n chips get 'em",
    ),
    ("x.com dogs.One street.The man", "x.com dogs.one street.the man"),
    ("the U.S. Army, the U.S.A., T.V. and tv.", "the u.s. army the u.s.a. t.v. and tv"),
    (
        "Mr. Smith on St. John's Ave. in Washington, D.C. etc.",
        "mr. smith on st. john 's ave. in washington d.c. etc.",
    ),
    ("by J. K. Rowling and plan B. The cat", "by j. k. rowling and plan b the cat"),
    ("in the sun. on Sat. in Mass. or the mass.", "in the sun on sat in mass. or the mass"),
    ("No. 5 and no.5, he said no.", "no. 5 and no. 5 he said no"),
    ("bldg., dog., 5.", "bldg. dog. 5"),
    ("(left) [right] {both}", "-lrb- left -rrb- -lsb- right -rsb- -lcb- both -rcb-"),
    ("a \"Stop Sign\" and ``this'' and 'that'", "a stop sign and this and that"),
    ("“curly” ‘quotes’ isn’t the man’s", "curly quotes is n't the man 's"),
    ("$5.00, US$5, 50% off, £5 €10 5¢ ½", "$ 5.00 us$ 5 50 % off # 5 $ 10 5 cents 1/2"),
    (
        "1,000 people at 5:30pm, 10:30, 3.5 and .5, -5, +5",
        "1,000 people at 5:30 pm 10:30 3.5 and .5 -5 +5",
    ),
    ("and/or black/white, w/ w/o 1/2 a/b/c/d", "and/or black/white w / w/o 1/2 a/b/c / d"),
    ("black & white, B&W, b&w, AT&T, A&P", "black & white b&w b & w at&t a&p"),
    ("wait... what?! no!! -- - — – … .. -----", "wait what ?! no !! -----"),
    ("#1 #dog ## @home me@home.org *very* **", "# 1 #dog ## @home me@home.org * very * **"),
    ("http://x.com/a?b=c, www.x.com.", "http://x.com/a?b=c www.x.com"),
    ("5'10\" tall, 6' 2\"", "5 10 tall 6 2"),
    ("a dog,cat and dog;cat dog:cat dog!cat dog- cat", "a dog cat and dog cat dog cat dog!cat dog cat"),
    ("2 + 2 = 4 < 5 > 3 ~ ^ | \\ _", "2 + 2 = 4 < 5 > 3 ~ ^ | \\ _"),
    ("<b>bold</b> :) ;-) :D <3", "<b> bold </b> :-rrb- ;--rrb- :d < 3"),
    ("C++ c# ol' y'all c'mon", "c++ c# ol' y' all c'mon"),
    (
        "Zoë's naïve café crème brûlée; straße Ångström",
        "zoë 's naïve café crème brûlée straße ångström",
    ),
    (
        "日本語の犬 собака हिन्दी कुत्ता தமிழ் 한국어",
        "日本語の犬 собака हिन्दी कुत्ता தமிழ் 한국어",
    ),
    ("😀 dog 😀😀", "dog"),
    ("under_score co\u00adop dog‐cat", "under_score coop dog‐cat"),
    ("a 22 3/4 inch board, 1 1/2 cups and 3-1/2-inch heels", "a 22 3/4 inch board 1 1/2 cups and 3-1/2 inch heels"),
    ("’tis o’clock and rock ’n’ roll, ’em and I’ll, man’s", "tis o’clock and rock ’n’ roll ’em and i 'll man 's"),
    ("x² and 10³ of H₂O at 20°C", "x ² and 10 ³ of h ₂ o at 20 ° c"),
    ("&lt;b&gt; salt &amp; pepper &quot;hi&quot; &apos;s &nbsp; AT&amp;T", "< b > salt & pepper hi 's at&t"),
    ("__init__ a_b _x #dog1 @home_1 b@c", "__ init __ a_b _ x #dog 1 @home_1 b@c"),
    ("^_^ :3 =D ;] (^_^) :'( >:( -_-", "^_^ :3 =d ;] -lrb-^_^-rrb- :'-lrb- >:-lrb- -_-"),
    ("call 555-123-4567 or (555) 123-4567", "call 555-123-4567 or -lrb-555-rrb- 123-4567"),
    ("Inc.a Inc.-A Mr.-b etc.a Jan.-1 St.John", "inc. a inc. a mr.-b etc. a jan. -1 st.john"),
    (
        "there'ing o'o l'a d'Or you're y'all's cap'n nor'easter cont'd.",
        "there'ing o'o l' a d'or you 're y' all 's cap'n nor'easter cont'd.",
    ),
    ("12...5 and 2--5, 5.5in 5:30p.m. 1/2/2011", "12 5 and 2 5 5.5 in 5:30 p.m. 1/2/2011"),
    ("日本語's ไทย ١٢٣ 𝒜 ﬁsh ® № → ★ a\u3000b", "日本語 's ไทย ١٢٣ ﬁsh ® № → ★ a b"),
    ("www.my-dogs.com/a x.com/a?b=c 1.jpg", "www.my-dogs.com / a x.com/a?b=c 1.jpg"),
    ("", ""),
    (" . . . ", ""),
]


@pytest.mark.parametrize(("caption", "expected"), STANFORD)
def test_coco_gives_the_words_of_stanfords_tokenizer(caption: str, expected: str) -> None:
    assert tokenizer("coco")(caption) == expected.split()


def test_coco_drops_the_period_after_a_single_letter_that_ends_the_caption() -> None:
    assert tokenizer("coco")("a man on a.") == ["a", "man", "on", "a"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's hat.", "a man 's hat ."),
        ("Two dogs, one cat , 5 birds .", "two dogs , one cat , 5 birds ."),
        ("it isn't 50% of $5.00", "it is n't 50 % of $ 5.00"),
        ('a "stop" sign', "a `` stop '' sign"),
        ("I cannot; two-tiered (cake)", "i can not ; two-tiered ( cake )"),
        ("two dogs. one cat.", "two dogs. one cat ."),
        ("a black-and-white 4x4", "a black-and-white 4x4"),
        ("", ""),
    ],
)
def test_treebank_splits_words_and_keeps_punctuation(caption: str, expected: str) -> None:
    assert tokenizer("treebank")(caption) == expected.split()


def test_treebank_equals_nltk_where_it_takes_the_short_way() -> None:
    random_source = random.Random(7)
    pieces = ["a", "dog", "Two", "5", "3-d", "t-shirt", "cannot", "gonna", "got", "ta", "can", "not"]
    pieces += [",", ".", "-", "'", "'s", "--", "%", "a.", "x,y"]
    treebank, nltk = tokenizer("treebank"), NLTKWordTokenizer().tokenize
    for _ in range(3000):
        caption = "".join(
            random_source.choice(pieces) + random_source.choice(["", " ", " ", " ", "  "])
            for _ in range(random_source.randint(1, 8))
        )
        assert treebank(caption) == nltk(" ".join(caption.lower().split())), caption


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's hat.", "mans hat"),  # one-letter words go
        ("a two-tiered CAKE", "twotiered cake"),
        ("the 3rd 4x4 of 1950", "the of"),
        ("Un café, s'il vous plaît", "un café sil vous plaît"),
        ("- . !", ""),
    ],
)
def test_clean_follows_the_rules_of_the_merge_model_tutorial(caption: str, expected: str) -> None:
    assert tokenizer("clean")(caption) == expected.split()


def test_clean_digits_follows_the_rules_of_the_tutorial_on_preparing_captions() -> None:
    assert tokenizer("clean_digits")("A 3rd man's T-shirt, no. 5 of 1950 !") == [
        "3rd",
        "mans",
        "tshirt",
        "no",
        "of",
        "1950",
    ]


def test_whitespace_leaves_words_as_they_are() -> None:
    assert tokenizer("whitespace")("  A man 's\that .\n<S> <UNK>") == ["A", "man", "'s", "hat", ".", "<S>", "<UNK>"]


def test_char_keeps_spaces_as_visible_words() -> None:
    assert tokenizer("char")(" A  cat\n") == ["a", CHAR_SPACE, "c", "a", "t"]


@pytest.mark.parametrize("name", ["treebank", "coco", "clean", "char"])
def test_no_special_word_comes_out_of_a_caption_that_spells_it(name: str) -> None:
    assert {"<S>", "</S>", "<UNK>"}.isdisjoint(tokenizer(name)("<S> a <UNK> dog </S>"))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_words_are_normalised_and_hold_no_white_space(name: str) -> None:
    odd = "Cafe\u0301 \u00a0 J\u030c a\u2028b\u3000c\x1cd\x85e <a b> 1 1/2 “x y” ½\u200b😀"
    words = tokenizer(name)(odd)
    assert any("é" in word for word in words)  # e + combining acute has become one character
    for word in words:
        assert word.split() == [word]
        assert unicodedata.is_normalized("NFC", word)


def test_unknown_tokenizer_is_refused_with_the_names_and_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"'treebnk'.*treebank, coco, clean, whitespace, char.*mean 'treebank'"):
        tokenizer("treebnk")
    with pytest.raises(ValueError, match="Unknown tokenizer 'bpe'"):
        detokenize(["a"], "bpe")


@pytest.mark.parametrize("name", ["treebank", "coco"])
@pytest.mark.parametrize(
    "caption",
    [
        "a man's hat isn't red and they're gonna wear what he cannot",
        "a $5.00 cake (50% off) #1",
        "black & white and/or two-tiered",
    ],
)
def test_detokenized_words_read_as_the_caption_did(name: str, caption: str) -> None:
    assert detokenize(tokenizer(name)(caption), name) == caption


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a man 's hat .", "a man's hat."),
        ("dogs ' bowls , cats ; what ? !", "dogs' bowls, cats; what?!"),
        ("a `` stop '' sign", 'a "stop" sign'),
        ("a `` stop `` sign .", 'a "stop" sign.'),  # what treebank makes of spaced quotation marks
        ('a " stop " sign and a " yield "', 'a "stop" sign and a "yield"'),
        ("6 '' tall", '6" tall'),
        ("the man ’ s “ red ” hat", "the man’s “red” hat"),
        ("<UNK> -lrb- left -rrb-", "<UNK> (left)"),
        ("", ""),
    ],
)
def test_detokenize_puts_punctuation_where_a_reader_expects_it(words: str, expected: str) -> None:
    assert detokenize(words.split(), "treebank") == expected


def test_characters_join_to_the_caption() -> None:
    assert detokenize(tokenizer("char")("a man's hat."), "char") == "a man's hat."


def test_importing_the_module_does_not_import_nltk() -> None:
    code = "import sys, im2txt.text.tokenization; sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
