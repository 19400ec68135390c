"""Captions to words, and what is left out on the way, each under a name that can be counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from data_prep.building.shard_plan import PlannedImage
from data_prep.building.skips import Skip
from data_prep.sources.base import CaptionedImage
from im2txt.system.storage import FileState
from im2txt.text import tokenization
from im2txt.text.vocabulary import SPECIAL_WORDS

# Tokenizers may take long over a word without end; no human caption has words this long on average.
_MAX_CHARACTERS_PER_WORD = 100


@dataclasses.dataclass(frozen=True)
class CaptionOptions:
    """How captions become words."""

    tokenizer: str = "treebank"
    """Name in `im2txt.text.tokenization`: treebank (the original im2txt's), coco, clean, whitespace, char or
    clean_digits."""
    max_caption_words: int = 200
    """A caption of more words is left out: it is a mistake in the data (of `char`, a word is a character: raise it)."""

    def __post_init__(self) -> None:
        tokenization.tokenizer(self.tokenizer)
        if self.max_caption_words < 1:
            raise ValueError(f"--max_caption_words={self.max_caption_words} must be at least 1.")


def plan_images(
    images: Iterable[tuple[CaptionedImage, str | None]],
    files: Mapping[str, FileState],
    options: CaptionOptions,
    skips: list[Skip],
) -> Iterator[PlannedImage]:
    """Yields the photographs that are there and have a split and a usable caption.

    Args:
        images: photographs, each with its split or None.
        files: those that are there, by path.
        options: the tokenizer and the longest caption.
        skips: receives what is left out: photographs as `no_split`, `missing_photograph` or `no_caption`; captions, of
            the other photographs only, as `not_utf8`, `special_word`, `long_caption` or `empty_caption`.
    """
    split_words = tokenization.tokenizer(options.tokenizer)
    for image, split in images:
        file = files.get(image.path)
        if split is None:
            detail = "in no split" if file else f"in no split, and there is no file {image.path!r}"
            skips.append(Skip(image.image_id, image.file_name, "no_split", detail))
            continue
        if file is None:
            skips.append(Skip(image.image_id, image.file_name, "missing_photograph", f"no file {image.path!r}"))
            continue
        captions, tokenized = [], []
        for caption in image.captions:
            reason = _reason_before(caption, options)
            words = [] if reason else split_words(caption)
            reason = reason or _reason_after(words, options)
            if reason:
                shown = caption.encode(errors="backslashreplace").decode()[:200]
                skips.append(Skip(image.image_id, image.file_name, *reason, caption=shown))
                continue
            captions.append(caption)
            tokenized.append(" ".join(words))
        if not captions:
            detail = f"none of its {len(image.captions)} captions can be used" if image.captions else "has no caption"
            skips.append(Skip(image.image_id, image.file_name, "no_caption", detail))
            continue
        yield PlannedImage(image.image_id, image.file_name, image.path, file, split, tuple(captions), tuple(tokenized))


def _reason_before(caption: str, options: CaptionOptions) -> tuple[str, str] | None:
    """Returns (reason, detail) of what must not reach the tokenizer."""
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        return "not_utf8", str(error)
    special = [word for word in SPECIAL_WORDS if word in caption]
    if special:
        return "special_word", f"spells {special[0]}"
    if len(caption) > options.max_caption_words * _MAX_CHARACTERS_PER_WORD:
        return "long_caption", f"{len(caption)} characters"
    return None


def _reason_after(words: list[str], options: CaptionOptions) -> tuple[str, str] | None:
    if not any(character.isalnum() for word in words for character in word):
        return "empty_caption", f"tokenizer {options.tokenizer} finds no word but punctuation"
    if len(words) > options.max_caption_words:
        return "long_caption", f"{len(words)} words, more than --max_caption_words={options.max_caption_words}"
    return None
