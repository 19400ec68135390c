"""A table of photographs and captions: CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any, Literal

from data_prep.sources import base
from data_prep.sources.split_names import usual_split
from im2txt.system.json_text import JsonError, parse_json

_FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}


@dataclasses.dataclass(frozen=True)
class Table:
    """A CSV, TSV or JSON lines file with a photograph and one or more captions in each row."""

    table_file: str
    """The file. CSV and TSV have a header; cells in double quotes may hold delimiters and line breaks."""
    images_dir: str = ""
    """Folder that the paths in the table are relative to; by default the table's own."""
    table_format: Literal["by_name", "csv", "tsv", "jsonl"] = "by_name"
    """`by_name` goes by the file's ending."""
    path_column: str = "image"
    """Column (key, in JSON lines) of the photograph's path. Several rows may name the same photograph."""
    caption_columns: tuple[str, ...] = ("caption",)
    """Columns of captions. In JSON lines a value may be a list of captions."""
    split_column: str = ""
    """Column of the split (train, val, validation, dev, test or restval). A photograph whose cell is empty is left out,
    unless --split_by divides the photographs in another way."""
    id_column: str = ""
    """Column of the photograph's number; by default a hash of its path."""

    def __post_init__(self) -> None:
        if not self.caption_columns:
            raise ValueError("--caption_columns names no column.")
        if self._format() is None:
            raise ValueError(
                f"--table_file={self.table_file!r} ends in none of {', '.join(_FORMATS)}: give --table_format as well."
            )

    def _format(self) -> str | None:
        by_name = _FORMATS.get(os.path.splitext(self.table_file)[1].lower())
        return by_name if self.table_format == "by_name" else self.table_format

    def read(self) -> Iterator[base.CaptionedImage]:
        """Yields the photographs in the order of their first rows.

        Raises:
            FileNotFoundError: if the table is missing.
            ValueError: naming the line, if a row lacks a column or contradicts another about id or split.
        """
        images: dict[str, base.CaptionedImage] = {}
        captions: dict[str, list[str]] = {}
        name_of_id: dict[int, str] = {}
        for line, row in self._rows():
            try:
                image = self._image(row)
                name = image.file_name
                if images.setdefault(name, image) != image:
                    raise ValueError(f"id or split of {name!r} differ from an earlier row's")
                if name_of_id.setdefault(image.image_id, name) != name:
                    raise ValueError(f"{name!r} has the id {image.image_id} of {name_of_id[image.image_id]!r}")
                captions.setdefault(name, []).extend(self._captions(row))
            except ValueError as error:
                raise ValueError(f"{self.table_file}, line {line}: {error}") from error
        for name, image in images.items():
            yield dataclasses.replace(image, captions=tuple(captions[name]))

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        text = base.read_source_text(self.table_file)
        delimiter = {"csv": ",", "tsv": "\t"}.get(self._format() or "")
        try:
            yield from _csv_rows(text, delimiter) if delimiter else _json_rows(text)
        except ValueError as error:
            raise ValueError(f"{self.table_file}, {error}") from error

    def _image(self, row: dict[str, Any]) -> base.CaptionedImage:
        images_dir = self.images_dir or os.path.dirname(self.table_file) or "."
        file_name, path = base.locate_image(images_dir, _string(_cell(row, self.path_column), self.path_column))
        image_id = base.stable_image_id(file_name)
        if self.id_column:
            image_id = _image_id(_cell(row, self.id_column))
        split = None
        if self.split_column and _cell(row, self.split_column) not in ("", None):
            split = usual_split(_string(_cell(row, self.split_column), self.split_column))
        return base.CaptionedImage(image_id, file_name, path, captions=(), split=split)

    def _captions(self, row: dict[str, Any]) -> Iterator[str]:
        for column in self.caption_columns:
            value = _cell(row, column)
            for caption in value if isinstance(value, list) else [value]:
                yield _string(caption, column)


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        header = next(reader, [])
        if len(set(header)) < len(header) or not header:
            raise ValueError(f"line 1: the header {header} must name every column, each once")
        start = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise ValueError(f"line {reader.line_num}: {len(cells)} cells under {len(header)} columns {header}")
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {_csv_problem(error, start)}") from error


def _csv_problem(error: csv.Error, start: int) -> str:
    """Returns what is wrong with a row that starts in line `start`; an open quote is noticed only lines later."""
    if "field limit" in str(error):
        problem = f"a cell has more than {csv.field_size_limit():,} characters, so its closing quote must be missing"
    else:
        problem = f"{error}; a quote inside a quoted cell is written twice"
    return f"{problem} (the row starts in line {start})"


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = parse_json(content)
        except JsonError as error:
            raise ValueError(f"line {line}: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {line}: {content[:60]!r} is no JSON object")
        yield line, row


def _cell(row: dict[str, Any], column: str) -> Any:
    if column not in row:
        raise ValueError(f"no column {column!r} (the --*_column flags name them); there are {sorted(row)[:20]}")
    return row[column]


def _string(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{column!r} is {str(value)[:60]!r}, of type {type(value).__name__}; needs a string")
    return value


def _image_id(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if type(number) is not int or not 0 <= number < 2**63:
        raise ValueError(f"id {str(value)[:60]!r} is no whole number in [0, 2**63)")
    return number
