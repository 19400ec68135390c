"""A finished folder of shards as one object: where it lies, what its manifest says, what stands beside the shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from im2txt.shards import manifest, references, shard_names, tfrecords
from im2txt.shards.manifest import Manifest, ShardEntry
from im2txt.shards.references import References
from im2txt.system import storage
from im2txt.text import vocabulary
from im2txt.text.vocabulary import Vocabulary

UNFINISHED_FEATURES_NAME = ".unfinished-features"
"""Lies in a folder while features are being written into it."""
_READERS = 16
"""Shards looked at in parallel; a disk that is not local answers each of them late."""


@dataclasses.dataclass(frozen=True)
class ShardFolder:
    """A folder whose manifest is there, and which is therefore complete.

    Attributes:
        path: the folder, local or remote.
        manifest: what it holds.
        left_out: by name of shard, the numbers of its records that are not read, as if they had no words; empty but
            where somebody asked for it.
    """

    path: str
    manifest: Manifest
    left_out: Mapping[str, frozenset[int]] = dataclasses.field(default_factory=dict)

    @classmethod
    def open(cls, path: str) -> ShardFolder:
        """Reads a folder's manifest.

        Raises:
            FileNotFoundError: if it has none: nothing may read a folder that is not complete.
            ValueError: if the manifest is damaged or of another version.
        """
        name = storage.join(path, manifest.FILE_NAME)
        if not storage.exists(name):
            features = storage.exists(storage.join(path, UNFINISHED_FEATURES_NAME))
            command = "cache_features" if features else "build_shards"
            raise FileNotFoundError(
                f"No {manifest.FILE_NAME} in {path!r}: the folder is no finished set of shards. Finish it with "
                f"`python -m data_prep.{command} --output_dir={path}` (an interrupted one goes on where it was)."
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

    def photographs(self) -> ShardFolder:
        """Returns the shards of photographs: this folder, or the one that its features were made from.

        Raises:
            FileNotFoundError: if that one is gone, or there never was one.
        """
        encoder = self.manifest.encoder
        if encoder is None:
            return self
        if not encoder.source_dir:
            raise FileNotFoundError(f"The features in {self.path} came without their photographs.")
        return ShardFolder.open(encoder.source_dir)

    def only_shard(self, split: str, index: int) -> ShardFolder:
        """Returns the folder as if it held one shard of one split; the split's counts stay those of all its shards."""
        entry = self.manifest.split(split)
        splits = {split: dataclasses.replace(entry, shards=(entry.shards[index],))}
        return dataclasses.replace(self, manifest=dataclasses.replace(self.manifest, splits=splits))

    def shard_paths(self, split: str) -> list[str]:
        """Returns the paths of a split's shards after checking each; see `check_shards`.

        Raises:
            FileNotFoundError: if shards are missing.
            ValueError: if a shard is not the manifest's, or the split unknown or without photographs.
        """
        self.manifest.split(split)
        return self.check_shards(split)

    def check_shards(self, split: str) -> list[str]:
        """Checks that each shard of a split is there with its size and its number of records.

        Returns:
            The paths, none for a split that holds nothing.

        Raises:
            FileNotFoundError: if shards are missing.
            ValueError: if a shard's size, or the length of a record in it, is not what the manifest and the file allow.
        """
        entries = self.manifest.splits[split].shards
        names = set(storage.list_names(self.path))
        if any(entry.name not in names for entry in entries):
            shard_names.complete_shard_set(names & {entry.name for entry in entries}, split, self.path)
            raise FileNotFoundError(f"{self.path} lacks shards that its manifest lists. Build the folder again.")
        with ThreadPoolExecutor(min(_READERS, len(entries))) as pool:
            return list(pool.map(self._check_shard, entries))

    def _check_shard(self, entry: ShardEntry) -> str:
        path = storage.join(self.path, entry.name)
        advice = f"Run `python -m data_prep.verify_data --data_dir={self.path}`."
        if (size := storage.size(path)) != entry.bytes:
            problem = f"has {size} bytes, its manifest says {entry.bytes}: the shard is damaged"
            raise ValueError(f"{path} {problem}. {advice}")
        try:
            tfrecords.check_framing(path, entry.examples)
        except ValueError as error:
            raise ValueError(f"{error} {advice}") from error
        return path

    @contextmanager
    def damage_named(self, *splits: str, advice: str = "") -> Iterator[None]:
        """Turns TensorFlow's word on a record it cannot read or decode into a ValueError that names it.

        TensorFlow does not say which record it was, so the splits are read until it is found: all of them if none is
        named. An error that no record explains is raised as it is. `advice`, a sentence, ends the message.
        """
        import tensorflow as tf  # Deferred: most of what opens a folder needs no TensorFlow.

        try:
            yield
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            from im2txt.shards import damaged_records

            print(f"Looking for the damaged record in {self.path} ...", flush=True)
            paths = [path for split in splits or self.manifest.splits for path in self.check_shards(split)]
            damage = damaged_records.find_damage(paths, self.manifest, len(self.read_vocabulary()), self.left_out)
            if damage is None:
                raise
            raise ValueError(
                f"A shard is damaged: {damage}. `python -m data_prep.verify_data --data_dir={self.path} "
                f"--decode_images` lists all that is wrong.{advice and ' ' + advice}"
            ) from error
