"""`source.json`: where a folder of shards was built from, on the machine that built it.

The manifest tells what the shards are, and is the same wherever they are built. Which folder the photographs were in,
how large and how old, holds for one machine only; it stands here, so that the same command over other photographs is
told from one that has nothing left to do.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from data_prep.building import photograph_files
from data_prep.building.shard_plan import PlannedImage
from data_prep.sources.base import Source
from im2txt.system import storage

FILE_NAME = "source.json"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a build's photographs and captions come from.

    Attributes:
        kind: the source's class.
        flags: the source's, as given.
        folder: the innermost folder that holds all photographs.
        photographs: their number.
        bytes: of all of them.
        sha256: of their places, sizes and times of change.
    """

    kind: str
    flags: dict[str, Any]
    folder: str
    photographs: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, source: Source, images: Sequence[PlannedImage]) -> Origin:
        """Describes the photographs of a plan."""
        return cls(
            kind=type(source).__name__,
            flags=dataclasses.asdict(source) if dataclasses.is_dataclass(source) else {},
            folder=_common_folder(images),
            photographs=len(images),
            bytes=sum(image.file.size for image in images),
            sha256=photograph_files.fingerprint((image.path, image.file) for image in images),
        )

    def write(self, output_dir: str) -> None:
        """Writes `source.json`."""
        content = json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)
        storage.write_text(storage.join(output_dir, FILE_NAME), content + "\n")

    def difference(self, output_dir: str) -> str | None:
        """Returns how the photographs differ from those that a finished folder was built from; None if not at all."""
        path = storage.join(output_dir, FILE_NAME)
        try:
            found = Origin(**json.loads(storage.read_text(path)))
        except (FileNotFoundError, ValueError, TypeError):
            return f"{path}, which tells from which photographs it was built, is gone or damaged"
        if found.sha256 == self.sha256:
            return None
        if found.folder != self.folder:
            return f"it was built from the photographs in {found.folder}, and these are in {self.folder}"
        if (found.photographs, found.bytes) != (self.photographs, self.bytes):
            return (
                f"it was built from {found.photographs:,} photographs of {found.bytes:,} bytes in {found.folder}, and "
                f"now there are {self.photographs:,} of {self.bytes:,} bytes"
            )
        return f"photographs in {self.folder} were changed since it was built from them"


def _common_folder(images: Sequence[PlannedImage]) -> str:
    folders = {photograph_files.real_path(image.path).rpartition("/")[0] for image in images}
    return "/".join(os.path.commonprefix([folder.split("/") for folder in folders])) or "several folders"
