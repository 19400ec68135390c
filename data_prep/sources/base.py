"""What every source of captioned photographs yields."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Protocol


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


class Source(Protocol):
    """A kind of data set: a frozen dataclass whose fields are the command's flags."""

    def read(self) -> Iterator[CaptionedImage]:
        """Yields every photograph once, in a fixed order.

        Raises:
            FileNotFoundError: if one of the source's own files is missing.
            ValueError: if one of them is not of the source's format.
        """


def stable_image_id(name: str) -> int:
    """Returns an id for sources that have none: 53 bits of a hash of the name, so that JSON readers keep every digit."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 11
