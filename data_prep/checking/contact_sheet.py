"""A page that shows examples of a folder of shards as a model will see them, beside the captions people wrote."""

from __future__ import annotations

import collections
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from data_prep.checking.shard_statistics import Sample, Statistics
from im2txt.reporting import figures, pages, thumbnails
from im2txt.shards.references import References
from im2txt.shards.shard_reader import Example
from im2txt.text.tokenization import detokenize, tokenizer
from im2txt.text.vocabulary import UNKNOWN_WORD, Vocabulary

_THUMBNAIL_PIXELS = 480
_SHOWN_WORDS = 20
_LONGEST_BAR = 30


@dataclasses.dataclass(frozen=True)
class _Word:
    """A word decoded from its id; `written` is the word of the caption that the id stands for."""

    word_id: int
    shown: str
    written: str
    is_unknown: bool
    is_special: bool


def page(
    title: str,
    lines: Sequence[str],
    table: Sequence[Sequence[str]],
    statistics: Statistics,
    references: References,
    vocabulary: Vocabulary,
    tokenizer_name: str,
) -> str:
    """Returns an HTML page that needs no other file.

    Args:
        title: the folder.
        lines: what is said under the title.
        table: rows of the splits' figures, the first being the header.
        statistics: of the folder; its samples become the page's cards.
        references: raw captions and file names of the samples' split.
        vocabulary: decodes the ids.
        tokenizer_name: finds the raw caption of each encoded one.
    """
    return pages.render(
        "contact_sheet.html",
        title=title,
        lines=lines,
        table=table,
        lengths=_length_figure(statistics.lengths),
        word_lists=[
            {"title": "Most frequent words", "words": _most_frequent(statistics.words)},
            {"title": f"Words that become {UNKNOWN_WORD}", "words": _most_frequent(statistics.unknown_words)},
        ],
        cards=[_card(sample, references, vocabulary, tokenizer_name) for sample in statistics.samples],
    )


def _card(sample: Sample, references: References, vocabulary: Vocabulary, tokenizer_name: str) -> dict[str, Any]:
    image_id = sample.example.image_id
    split_words = tokenizer(tokenizer_name)
    raw_captions = references.captions.get(image_id, [])
    raw_by_words = {tuple(split_words(raw)): raw for raw in raw_captions}
    captions = []
    for words, word_ids in zip(sample.example.captions, sample.example.caption_ids, strict=True):
        # In an adopted folder the raw captions come from the words, and may not lead back to them.
        joined = detokenize(words[1:-1], tokenizer_name)
        raw = joined if joined in raw_captions else raw_by_words.get(tuple(words[1:-1]))
        decoded = [_word(word, word_id, vocabulary) for word, word_id in zip(words, word_ids, strict=True)]
        captions.append({"raw": raw, "decoded": decoded})
    return {
        "name": references.file_names.get(image_id, "not in the captions file"),
        "place": f"id {image_id} · {sample.shard}, record {sample.record}",
        "captions": captions,
        "picture": _picture(sample.example),
    }


def _word(written: str, word_id: int, vocabulary: Vocabulary) -> _Word:
    return _Word(
        word_id=word_id,
        shown=vocabulary.id_to_word(word_id),
        written=written,
        is_unknown=word_id == vocabulary.unknown_id,
        is_special=word_id in (vocabulary.start_id, vocabulary.end_id),
    )


def _picture(example: Example) -> dict[str, str]:
    """An address and what it shows, or why there is no picture."""
    if example.features is not None:
        features = example.features.astype(np.float32)
        file = io.BytesIO()
        _features_image(features).save(file, "PNG")
        address = thumbnails.data_url(file.getvalue(), "png")
        return {"address": address, "title": _describe_features(features)}
    try:
        encoded = example.encoded_image or b""
        thumbnail = thumbnails.make_thumbnail(encoded, _THUMBNAIL_PIXELS)
        return {"address": thumbnails.data_url(thumbnail.jpeg), "title": f"{thumbnail.width} pixels wide"}
    except OSError as error:
        return {"address": "", "title": f"does not decode: {error}"}


def _features_image(features: np.ndarray) -> Image.Image:
    """One pixel per feature, row by row, black to white from the smallest to the largest."""
    width = math.ceil(math.sqrt(features.size))
    spread = float(features.max() - features.min()) or 1.0
    pixels = np.zeros(width * math.ceil(features.size / width), np.uint8)
    pixels[: features.size] = np.round((features - features.min()) / spread * 255)
    scale = max(1, _THUMBNAIL_PIXELS // width)
    return Image.fromarray(pixels.reshape(-1, width)).resize((width * scale, pixels.size // width * scale), 0)


def _describe_features(features: np.ndarray) -> str:
    return f"{features.size} features, {features.min():.3g} to {features.max():.3g}, mean {features.mean():.3g}"


def _length_figure(lengths: Mapping[int, int]) -> Markup:
    """Longer captions than the last bar's are counted in it."""
    shown: collections.Counter[int] = collections.Counter()
    for length, count in lengths.items():
        shown[min(length, _LONGEST_BAR + 1)] += count
    label = "words" if _LONGEST_BAR + 1 not in shown else f"words; the last bar: more than {_LONGEST_BAR}"
    return figures.histogram({"run-1": shown}, 1, label, "Captions by number of words")


def _most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_WORDS]
