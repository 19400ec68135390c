"""A page that shows examples of a folder of shards as a model will see them, beside the captions people wrote."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from data_prep.checking.shard_statistics import Sample, Statistics
from im2txt.shards.references import References
from im2txt.shards.shard_reader import Example
from im2txt.text.tokenization import detokenize, tokenizer
from im2txt.text.vocabulary import UNKNOWN_WORD, Vocabulary

_THUMBNAIL_PIXELS = 480
_SHOWN_WORDS = 20
_LONGEST_BAR = 30
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --paper: #f5f6f8; --card: #fff; --line: #e3e6eb;
  --bar: #4a7dbd; --mark: #ffe2cf; --mark-ink: #9a3f0b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --paper: #14171c; --card: #1d2128;
  --line: #2e343e; --bar: #6b9bd6; --mark: #4d2c17; --mark-ink: #ffb48a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1320px; padding: 28px 24px 60px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 32px 0 12px; }
.soft { color: var(--soft); }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 16px; }
.wide { grid-column: 1 / -1; overflow-x: auto; }
.panel, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.panel { padding: 16px 18px; }
.panel h2 { margin: 0 0 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; }
th, td { padding: 4px 0 4px 10px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.columns { display: flex; align-items: flex-end; gap: 2px; height: 220px; }
.columns div { flex: 1 1 0; min-width: 0; height: 100%; display: flex; flex-direction: column;
  justify-content: flex-end; }
.columns i { background: var(--bar); border-radius: 2px 2px 0 0; min-height: 1px; }
.columns b { font: 11px/1.6 system-ui, sans-serif; color: var(--soft); align-self: center; height: 18px;
  white-space: nowrap; }
.words { columns: 2; column-gap: 24px; font-variant-numeric: tabular-nums; }
.words div { display: flex; justify-content: space-between; break-inside: avoid; background: linear-gradient(
  to right, color-mix(in srgb, var(--bar) 26%, transparent) var(--part), transparent var(--part)); padding: 1px 6px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 16px; }
.card { overflow: hidden; }
.card > img, .card > .missing { display: block; width: 100%; height: 230px; object-fit: contain; background: #0002; }
.card > .missing { padding: 90px 20px; text-align: center; color: var(--mark-ink); background: var(--mark); }
.card > div { padding: 10px 14px 12px; }
.name { font-size: 12px; overflow-wrap: anywhere; }
.caption { border-top: 1px solid var(--line); padding: 6px 0; }
.caption:last-child { padding-bottom: 0; }
.ids { font: 12.5px/1.5 ui-monospace, monospace; color: var(--soft); overflow-wrap: anywhere; }
.ids u { text-decoration: none; opacity: .55; }
mark { background: var(--mark); color: var(--mark-ink); border-radius: 3px; padding: 0 3px; }
"""


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
    cards = "".join(_card(sample, references, vocabulary, tokenizer_name) for sample in statistics.samples)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{html.escape(title)}</h1>{''.join(f'<div class=soft>{html.escape(line)}</div>' for line in lines)}"
        f'<h2>Numbers</h2><div class="panels"><div class="panel wide">{_table(table)}</div>'
        f'<div class="panel"><h2>Captions by number of words</h2>{_columns(statistics.lengths)}</div>'
        f'<div class="panel"><h2>Most frequent words</h2>{_words(statistics.words)}</div>'
        f'<div class="panel"><h2>Words that become {html.escape(UNKNOWN_WORD)}</h2>'
        f"{_words(statistics.unknown_words)}</div></div>"
        f"<h2>{len(statistics.samples)} examples drawn at random</h2>"
        '<p class="soft">Each caption as people wrote it and, below, decoded from the ids in the shard: what the model '
        "learns. Hold the pointer over a word for its id.</p>"
        f'<div class="cards">{cards}</div></html>\n'
    )


def _card(sample: Sample, references: References, vocabulary: Vocabulary, tokenizer_name: str) -> str:
    image_id = sample.example.image_id
    split_words = tokenizer(tokenizer_name)
    raw_captions = references.captions.get(image_id, [])
    raw_by_words = {tuple(split_words(raw)): raw for raw in raw_captions}
    captions = []
    for words, word_ids in zip(sample.example.captions, sample.example.caption_ids, strict=True):
        # In an adopted folder the raw captions come from the words, and may not lead back to them.
        joined = detokenize(words[1:-1], tokenizer_name)
        raw = joined if joined in raw_captions else raw_by_words.get(tuple(words[1:-1]))
        shown = html.escape(raw) if raw is not None else "<mark>no caption in the captions file has these words</mark>"
        decoded = " ".join(_word(word, i, vocabulary) for word, i in zip(words, word_ids, strict=True))
        captions.append(f'<div class="caption">{shown}<div class="ids">{decoded}</div></div>')
    name = html.escape(references.file_names.get(image_id, "not in the captions file"))
    return (
        f'<div class="card">{_picture(sample.example)}<div><div class="name">{name}</div><div class="name soft">'
        f"id {image_id} · {sample.shard}, record {sample.record}</div>{''.join(captions)}</div></div>"
    )


def _word(word: str, word_id: int, vocabulary: Vocabulary) -> str:
    shown = html.escape(vocabulary.id_to_word(word_id))
    if word_id == vocabulary.unknown_id:
        return f'<mark title="{html.escape(word)}, id {word_id}">{shown}</mark>'
    tag = "u" if word_id in (vocabulary.start_id, vocabulary.end_id) else "span"
    return f'<{tag} title="id {word_id}">{shown}</{tag}>'


def _picture(example: Example) -> str:
    if example.features is not None:
        return _inline(_features_image(example.features), "PNG", _describe_features(example.features))
    try:
        image = Image.open(io.BytesIO(example.encoded_image or b""))
        size = f"{image.width} x {image.height} pixels"
        image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        return _inline(image.convert("RGB"), "JPEG", size)
    except OSError as error:
        return f'<div class="missing">does not decode: {html.escape(str(error))}</div>'


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


def _inline(image: Image.Image, kind: str, title: str) -> str:
    file = io.BytesIO()
    image.save(file, kind)
    encoded = base64.b64encode(file.getvalue()).decode()
    return f'<img title="{title}" alt="" src="data:image/{kind.lower()};base64,{encoded}">'


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{header.replace('td>', 'th>')}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def _columns(counts: Mapping[int, int]) -> str:
    heights: dict[str, int] = {str(n): counts.get(n, 0) for n in range(1, min(_LONGEST_BAR, max(counts)) + 1)}
    longer = sum(count for length, count in counts.items() if length > _LONGEST_BAR)
    if longer:
        heights[f"{_LONGEST_BAR + 1}+"] = longer
    tallest = max(heights.values()) or 1
    bars = "".join(
        f'<div title="{label}: {count:,} captions"><i style="height:{88 * count / tallest:.1f}%"></i>'
        f"<b>{label if label.isdecimal() and int(label) % 5 == 0 else ''}</b></div>"
        for label, count in heights.items()
    )
    return f'<div class="columns">{bars}</div>'


def _words(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_WORDS]
    if not most:
        return '<p class="soft">None.</p>'
    rows = (
        f'<div style="--part:{100 * count / most[0][1]:.1f}%"><span>{html.escape(word)}</span>'
        f'<span class="soft">{count:,}</span></div>'
        for word, count in most
    )
    return f'<div class="words">{"".join(rows)}</div>'
