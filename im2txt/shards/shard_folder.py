"""A finished folder of shards as one object: where it lies, what its manifest says, what stands beside the shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from im2txt.shards import manifest, references, shard_names
from im2txt.shards.manifest import Manifest
from im2txt.shards.references import References
from im2txt.system import storage
from im2txt.text import vocabulary
from im2txt.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class ShardFolder:
    """A folder whose manifest is there, and which is therefore complete.

    Attributes:
        path: the folder, local or remote.
        manifest: what it holds.
    """

    path: str
    manifest: Manifest

    @classmethod
    def open(cls, path: str) -> ShardFolder:
        """Reads a folder's manifest.

        Raises:
            FileNotFoundError: if it has none: nothing may read a folder that is not complete.
            ValueError: if the manifest is damaged or of another version.
        """
        name = storage.join(path, manifest.FILE_NAME)
        if not storage.exists(name):
            raise FileNotFoundError(
                f"No {manifest.FILE_NAME} in {path!r}: the folder is no finished set of shards. Finish it with "
                f"`python -m data_prep.build_shards --output_dir={path}` (an interrupted build goes on where it was)."
            )
        return cls(path, Manifest.from_json(storage.read_text(name, storage.MAX_DOCUMENT_BYTES), name))

    def read_vocabulary(self) -> Vocabulary:
        """Reads the folder's word_counts.txt; ValueError if it is not the one the shards were written with."""
        path = storage.join(self.path, vocabulary.FILE_NAME)
        words = Vocabulary.from_text(storage.read_text(path, storage.MAX_DOCUMENT_BYTES), path)
        if words.fingerprint() != self.manifest.vocabulary_sha256:
            raise ValueError(
                f"{path} is not the vocabulary these shards were written with: its fingerprint is "
                f"{words.fingerprint()[:12]}, the manifest's {self.manifest.vocabulary_sha256[:12]}. Restore the file, "
                "or build the folder again."
            )
        return words

    def read_references(self, split: str) -> References:
        """Reads a split's raw captions; see `references.read_references`."""
        return references.read_references(self.path, split)

    def shard_paths(self, split: str) -> list[str]:
        """Returns the paths of a split's shards after checking that each is there with its size.

        Raises:
            FileNotFoundError: if shards are missing.
            ValueError: if a shard's size is not the manifest's, or the split unknown.
        """
        entries = self.manifest.split(split).shards
        names = set(storage.list_names(self.path))
        if any(entry.name not in names for entry in entries):
            shard_names.complete_shard_set(names & {entry.name for entry in entries}, split, self.path)
            raise FileNotFoundError(f"{self.path} lacks shards that its manifest lists. Build the folder again.")
        paths = []
        for entry in entries:
            path = storage.join(self.path, entry.name)
            if storage.size(path) != entry.bytes:
                raise ValueError(
                    f"{path} has {storage.size(path)} bytes, its manifest says {entry.bytes}: the shard is damaged. "
                    f"Run `python -m data_prep.verify_data --data_dir={self.path}`."
                )
            paths.append(path)
        return paths

    @contextmanager
    def damage_named(self) -> Iterator[None]:
        """Turns TensorFlow's word on a damaged record, wherever it is read, into a ValueError that says what to do."""
        import tensorflow as tf  # Deferred: most of what opens a folder needs no TensorFlow.

        try:
            yield
        except tf.errors.DataLossError as error:
            raise ValueError(
                f"A shard in {self.path} is damaged: a record does not match its checksum. "
                f"`python -m data_prep.verify_data --data_dir={self.path}` names it."
            ) from error
