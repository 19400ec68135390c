"""Captions of photographs as text, JSON lines or CSV, row after row as they come."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from im2txt.system.command_line import printable

if TYPE_CHECKING:
    from im2txt.inference.photograph_captioner import CaptionedPhotograph

Formatter = Callable[[str, "CaptionedPhotograph"], str]
"""A photograph's name and what was found, to lines of text without the last one's end."""

CSV_COLUMNS = ("file", "rank", "caption", "log_prob", "score", "is_complete", "error")


def as_text(name: str, result: CaptionedPhotograph) -> str:
    """For people: each caption with its probability."""
    if result.error:
        return f"No captions for {_in_one_line(name)}: {_in_one_line(result.error)}"
    lines = [
        f"  {rank}) {candidate.caption} (p={math.exp(candidate.log_prob):.4g})"
        for rank, candidate in enumerate(result.candidates)
    ]
    return "\n".join([f"Captions for {_in_one_line(name)}:", *lines])


def as_original_text(name: str, result: CaptionedPhotograph) -> str:
    """As the original im2txt prints it: names without folders, words as the vocabulary has them.

    It gave probabilities six decimals, 0.000000 mostly; here they have four digits that say something.
    """
    name = _in_one_line(os.path.basename(name))
    if result.error:
        return f"No captions for image {name}: {_in_one_line(result.error)}"
    lines = [
        f"  {rank}) {candidate.words} (p={math.exp(candidate.log_prob):.4g})"
        for rank, candidate in enumerate(result.candidates)
    ]
    return "\n".join([f"Captions for image {name}:", *lines])


def as_json(name: str, result: CaptionedPhotograph) -> str:
    """One object: {"file", "captions": [{"caption", "log_prob", ...}]}, or {"file", "error"}."""
    if result.error:
        return json.dumps({"file": utf8_name(name), "error": result.error}, ensure_ascii=False)
    captions = [candidate.as_dict() for candidate in result.candidates]
    return json.dumps({"file": utf8_name(name), "captions": captions}, ensure_ascii=False)


def as_csv(name: str, result: CaptionedPhotograph) -> str:
    """One row of `CSV_COLUMNS` for each caption, or one with the error; without captions, one with neither."""
    rows: list[tuple[object, ...]] = [
        (utf8_name(name), rank, c.caption, f"{c.log_prob:.6g}", f"{c.score:.6g}", c.is_complete, "")
        for rank, c in enumerate(result.candidates)
    ]
    return csv_lines(rows or [(utf8_name(name), "", "", "", "", "", result.error)])


def csv_lines(rows: list[tuple[object, ...]]) -> str:
    """Returns rows as lines of CSV, without the last one's end."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().removesuffix("\n")


def _in_one_line(text: str) -> str:
    """A name with a line break in it must not look like captions of its own."""
    return printable(text).replace("\n", "\\n")


def utf8_name(name: str) -> str:
    """Returns a file's name in which bytes that are no UTF-8, which a name on disk may hold, are U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


FORMATTERS: dict[str, Formatter] = {"text": as_text, "jsonl": as_json, "csv": as_csv}
HEADERS = {"csv": csv_lines([CSV_COLUMNS])}
"""What comes before the first row."""
