"""What a score can hide: captions that repeat themselves, each other or the training set, or that end in mid-air."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

from im2txt.text.coco_tokenization import coco_tokens, split_tokens

# Few captions of people end so, and many of a decoder that was cut off or lost its thread.
_BAD_ENDINGS = (
    "a an the and or of with in on at to for from by into onto near next is are was were that which while as "
    "his her its their"
)
_UNKNOWN = "<unk>"  # what the coco tokenizer makes of <UNK>
_REPEATED_ORDER = 3

Words = tuple[str, ...]


def as_words(captions: Sequence[str]) -> set[Words]:
    """The different captions of a training set as words, for `diagnose`."""
    return {tuple(split_tokens(tokens)) for tokens in coco_tokens(captions)}


def diagnose(
    captions: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    training_captions: Collection[Words] | None = None,
) -> dict[str, float]:
    """Describes captions, in the words of the `coco` tokenizer.

    Args:
        captions: at least one, as words.
        references: the references of each image, as words.
        training_captions: what the captions may have been copied from; None if that is not known.

    Returns:
        `words_used`: different words. `unique_captions_share`: different captions among all, above 0 to 1.
        `copied_share`: captions that stand in the training set word for word; only where that is known.
        `bad_ending_share`: captions whose last word leaves something open: `a`, `with`, `of`, ... `mean_length`: words
        in a caption. `length_ratio`: that over the references' mean length (0 if these are empty). `unknown_share`:
        words that are `<UNK>`. `repeated_ngrams_share`: captions that say the same word twice running or the same three
        words twice. Shares are from 0 to 1.
    """
    count, bad_endings = len(captions), set(_BAD_ENDINGS.split())
    num_words = sum(map(len, captions))
    lengths = [len(reference) for reference in chain.from_iterable(references)]
    mean_length, reference_length = num_words / count, sum(lengths) / max(1, len(lengths))
    known = set(training_captions) if training_captions is not None else None
    unknown = sum(list(words).count(_UNKNOWN) for words in captions)
    return {
        "words_used": float(len(set(chain.from_iterable(captions)))),
        "unique_captions_share": len(set(map(tuple, captions))) / count,
        **({"copied_share": sum(tuple(words) in known for words in captions) / count} if known is not None else {}),
        "bad_ending_share": sum(not bad_endings.isdisjoint(words[-1:]) for words in captions) / count,
        "mean_length": mean_length,
        "length_ratio": mean_length / reference_length if reference_length else 0.0,
        "unknown_share": unknown / max(1, num_words),
        "repeated_ngrams_share": sum(map(_repeats_itself, captions)) / count,
    }


def _repeats_itself(words: Sequence[str]) -> bool:
    if any(first == second for first, second in zip(words, words[1:], strict=False)):
        return True
    ngrams = list(zip(*(words[start:] for start in range(_REPEATED_ORDER)), strict=False))
    return len(set(ngrams)) < len(ngrams)
