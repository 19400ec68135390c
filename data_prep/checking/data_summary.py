"""A folder of shards in figures, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_prep.checking.shard_statistics import Statistics
from im2txt.shards.manifest import Manifest, SplitEntry
from im2txt.text.vocabulary import UNKNOWN_WORD, Vocabulary

_SHOWN_WORDS = 20
_BAR_WIDTH = 50


def summary(manifest: Manifest) -> str:
    """Returns a line on what a manifest says: splits, photographs, captions, shards, bytes."""
    splits = manifest.splits.values()
    entries = [entry for split in splits for entry in split.shards]
    kind = "feature shards" if manifest.encoder else f"image shards of layout '{manifest.layout}'"
    captions, images = sum(split.captions for split in splits), sum(split.images for split in splits)
    megabytes = sum(entry.bytes for entry in entries) / 1e6
    images_by_split = ", ".join(f"{name} {split.images:,}" for name, split in manifest.splits.items())
    return (
        f"{captions:,} captions of {images:,} photographs ({images_by_split}) in {len(entries)} {kind}, "
        f"{megabytes:,.1f} MB."
    )


def details(manifest: Manifest, vocabulary: Vocabulary, statistics: Statistics) -> list[str]:
    """Returns lines on the vocabulary and on the captions' lengths."""
    lengths = sorted(statistics.lengths.elements())
    mean = sum(lengths) / len(lengths)
    unknown = sum(statistics.unknown_words.values())
    return [
        f"Vocabulary of {len(vocabulary):,} words with {UNKNOWN_WORD}, tokenizer '{manifest.tokenizer}'; "
        f"{len(statistics.unknown_words):,} rarer words become {UNKNOWN_WORD}, {unknown:,} times.",
        f"Caption length in words: mean {mean:.1f}, half have up to {lengths[len(lengths) // 2]}, 99 in 100 up to "
        f"{lengths[len(lengths) * 99 // 100]}, the longest {lengths[-1]}.",
    ]


def table(manifest: Manifest) -> list[list[str]]:
    """Returns the splits' figures in rows, the first being the header."""
    rows = [["split", "photographs", "captions", "per photograph", UNKNOWN_WORD, "shards", "MB per shard"]]
    for name, split in manifest.splits.items():
        rows.append(
            [
                name,
                f"{split.images:,}",
                f"{split.captions:,}",
                _per_photograph(split.captions_per_image),
                # `</S>`, which every caption ends in, is no word that could be unknown.
                f"{split.unknown_words / max(1, split.words - split.captions):.2%}",
                f"{len(split.shards):,}",
                _shard_sizes(split),
            ]
        )
    return rows


def as_text(title: str, lines: Sequence[str], rows: Sequence[Sequence[str]], statistics: Statistics) -> str:
    """Returns everything for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = [f"{title}: {lines[0]}", *lines[1:], ""]
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        text.append("  ".join([first.strip().ljust(widths[0]), *others]))
    text += ["", "Captions by number of words:", *_histogram(statistics.lengths)]
    text += ["", "Most frequent words: " + _most_frequent(statistics.words)]
    text.append(f"Most frequent words that become {UNKNOWN_WORD}: " + _most_frequent(statistics.unknown_words))
    return "\n".join(text)


def _per_photograph(captions_per_image: Mapping[int, int]) -> str:
    fewest, most = min(captions_per_image, default=0), max(captions_per_image, default=0)
    return str(fewest) if fewest == most else f"{fewest} to {most}"


def _shard_sizes(split: SplitEntry) -> str:
    smallest, largest = (f"{f(shard.bytes for shard in split.shards) / 1e6:,.1f}" for f in (min, max))
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _histogram(lengths: Mapping[int, int]) -> list[str]:
    most = max(lengths.values())
    width = len(f"{most:,}")
    lines = []
    for length in range(min(lengths), max(lengths) + 1):
        count = lengths.get(length, 0)
        lines.append(f"{length:4d}  {count:{width},d}  {'#' * round(_BAR_WIDTH * count / most)}".rstrip())
    return lines


def _most_frequent(words: Mapping[str, int]) -> str:
    most = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_WORDS]
    return ", ".join(f"{word} {count:,}" for word, count in most) or "none"
