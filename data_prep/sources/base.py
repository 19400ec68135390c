"""What every source of captioned photographs yields."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Collection, Iterator
from typing import Any, Protocol

from im2txt.system import storage
from im2txt.system.json_text import JsonError, parse_json

_LEADING_NUMBER = re.compile(r"\d{1,18}(?=[_.]|$)")


@dataclasses.dataclass(frozen=True)
class CaptionedImage:
    """One photograph and its captions, as the source describes them: nothing is read or checked yet.

    Attributes:
        image_id: the source's own number, or `stable_image_id` of its name; in [0, 2**63).
        file_name: relative name, for people and for COCO JSON files.
        path: where the image file is read from, local or remote.
        captions: raw captions in the source's order.
        split: `train`, `val`, `test` or `restval`; None leaves it to `splits`.
    """

    image_id: int
    file_name: str
    path: str
    captions: tuple[str, ...]
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """One of the source's files that becomes no photograph, for the list of what a build leaves out.

    Attributes:
        file_name: relative name.
        reason: short name for counting.
        detail: what was seen.
    """

    file_name: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class SourceWarning:
    """Something odd that was taken all the same: a sentence for the manifest, which therefore names no folder."""

    sentence: str


Found = CaptionedImage | LeftOut | SourceWarning


class Source(Protocol):
    """A kind of data set: a frozen dataclass whose fields are the command's flags; `registry` lists them all."""

    def read(self) -> Iterator[Found]:
        """Yields every photograph once, in a fixed order, and between them what else there is to say.

        Raises:
            FileNotFoundError: if one of the source's own files is missing.
            ValueError: if one of them is not of the source's format.
        """


def stable_image_id(name: str) -> int:
    """Returns an id for sources without: 53 bits of a hash of the name, so that JSON readers keep every digit."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 11


def leading_number_ids(names: Collection[str]) -> dict[str, int]:
    """Returns ids for names such as `1000268201_693b08cb0e.jpg`: the number in front, Flickr's own.

    A name without such a number, or whose number another name bears as well, gets `stable_image_id`.
    """
    numbers = {name: int(match[0]) for name in names if (match := _LEADING_NUMBER.match(name))}
    bearers = collections.Counter(numbers.values())
    return {
        name: numbers[name] if name in numbers and bearers[numbers[name]] == 1 else stable_image_id(name)
        for name in names
    }


def locate_image(image_dir: str, name: str) -> tuple[str, str]:
    """Finds a photograph that a source's file names; whether it is there is not looked at.

    Args:
        image_dir: the source's folder of photographs, local or remote.
        name: relative to the folder, or absolute and inside it.

    Returns:
        The name relative to the folder, and the path.

    Raises:
        ValueError: if the name is empty, no Unicode text, or leaves the folder: a file from elsewhere never gets to
            read other files.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair.
        raise ValueError(f"the photograph's name {name!r} is no Unicode text ({error.reason})") from error
    relative = name
    if name.startswith("/") or storage.is_remote(name):
        relative = name.removeprefix(image_dir.rstrip("/") + "/")
    outside = relative.startswith("/") or storage.is_remote(relative) or ".." in re.split(r"[/\\]", relative)
    if outside or not relative.strip() or "\0" in relative:
        raise ValueError(
            f"The photograph's name {name!r} is not of a file inside {image_dir!r}. Names are relative to that folder, "
            "without '..'."
        )
    return relative, storage.join(image_dir, relative)


def read_source_text(path: str) -> str:
    """Returns one of a source's own files as text, without a byte order mark.

    Raises:
        FileNotFoundError: with the path.
        ValueError: naming the file and line that is not UTF-8.
    """
    if not storage.exists(path):
        raise FileNotFoundError(f"No file {path!r}.")
    content = storage.read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 ({error.reason}). Convert the file to UTF-8.") from error


def read_source_json(path: str, without: Collection[str] = ()) -> Any:
    """Returns one of a source's own files parsed as JSON.

    Args:
        path: the file.
        without: keys to drop from all objects while parsing, since large files would not fit otherwise.

    Raises:
        FileNotFoundError: with the path.
        ValueError: naming the file, and the line and column where its JSON ends or breaks.
    """
    try:
        return parse_json(read_source_text(path), without)
    except JsonError as error:
        raise ValueError(f"{path} is {error}.") from error
