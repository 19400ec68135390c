"""Shards of the original im2txt, or of a tool of its format, described so that they can be trained on as they are."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

import google_crc32c

from data_prep.checking.folder_checks import leaks, repetitions, split_entry
from data_prep.checking.shard_checks import Fault, Rules, ShardContent, check_shard
from im2txt import __version__
from im2txt.shards import shard_names
from im2txt.shards.manifest import FILE_NAME as MANIFEST_NAME
from im2txt.shards.manifest import Manifest, ShardEntry, write_manifest
from im2txt.shards.references import References, write_references
from im2txt.shards.shard_reader import Example, for_each_shard
from im2txt.system import storage
from im2txt.text.tokenization import detokenize
from im2txt.text.vocabulary import FILE_NAME as VOCABULARY_NAME
from im2txt.text.vocabulary import Vocabulary

TOKENIZER = "treebank"
SEED = 12345
"""With which the original shuffles."""
REFERENCES_DESCRIPTION = (
    "Captions of the split '{}', put together again from the words in the shards: in lower case, and spacing and "
    "quotation marks may differ from what people wrote. The file names are the image ids."
)


@dataclasses.dataclass(frozen=True)
class Adoption:
    """What a folder of the original's shards holds.

    Attributes:
        manifest: its description.
        vocabulary: content of its word_counts.txt.
        references: captions by split.
        faults: why it cannot be adopted.
        notes: what is worth knowing.
    """

    manifest: Manifest
    vocabulary: str
    references: Mapping[str, References]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Shard:
    entry: ShardEntry
    content: ShardContent
    captions: list[tuple[int, str]]


def read_original(data_dir: str, word_counts_file: str, num_readers: int) -> Adoption:
    """Reads and checks every record of a folder.

    Args:
        data_dir: folder with shards of layout `pair`; nothing is written to it yet.
        word_counts_file: the vocabulary of the shards.
        num_readers: shards read at the same time; each is held in memory whole.

    Raises:
        FileNotFoundError: if there are no shards, some are missing, or the vocabulary is.
        ValueError: if the folder has a manifest already, or the vocabulary cannot be read.
        RuntimeError: if the folder cannot be written to.
    """
    by_split = _find_shards(data_dir)
    if not storage.exists(word_counts_file):
        raise FileNotFoundError(
            f"No vocabulary {word_counts_file}. Name the file that was written with the shards: "
            "--word_counts_file=PATH (the original calls it word_counts_output_file)."
        )
    text = storage.read_text(word_counts_file, storage.MAX_DOCUMENT_BYTES)
    vocabulary = Vocabulary.from_text(text, word_counts_file)
    _check_writable(data_dir)
    rules = Rules("pair", vocabulary)
    sizes = {name: storage.size(storage.join(data_dir, name)) for names in by_split.values() for name in names}
    found = for_each_shard(sizes, lambda name: _read_shard(data_dir, name, rules), num_readers)
    contents = {split: [found[name].content for name in names] for split, names in by_split.items()}
    faults = [fault for shard in found.values() for fault in shard.content.faults]
    notes = [f"{leak.where} {leak.problem} {leak.advice}" for leak in leaks(contents)]
    for split in by_split:
        repeated_faults, repeated_notes = repetitions(split, contents[split], "pair")
        faults += repeated_faults
        notes += repeated_notes
    manifest = Manifest(
        layout="pair",
        tokenizer=TOKENIZER,
        vocabulary_sha256=vocabulary.fingerprint(),
        seed=SEED,
        splits={
            split: split_entry(contents[split], tuple(found[name].entry for name in names))
            for split, names in by_split.items()
        },
        skipped={},
        options={"adopted": "Shards that another tool wrote in the original im2txt's format."},
        tool_version=__version__,
    )
    references = {split: _references([found[name] for name in names]) for split, names in by_split.items()}
    return Adoption(manifest, text, references, tuple(faults), tuple(notes))


def write_adoption(data_dir: str, adoption: Adoption) -> None:
    """Writes the vocabulary, the captions files and, last, the manifest beside the shards."""
    storage.write_text(storage.join(data_dir, VOCABULARY_NAME), adoption.vocabulary)
    for split, references in adoption.references.items():
        write_references(data_dir, split, references, REFERENCES_DESCRIPTION.format(split))
    write_manifest(data_dir, adoption.manifest)


def _find_shards(data_dir: str) -> dict[str, list[str]]:
    names = storage.list_names(data_dir)
    if MANIFEST_NAME in names:
        raise ValueError(f"{data_dir} has a {MANIFEST_NAME} already and can be trained on. Check it with verify_data.")
    found = [parsed for name in names if (parsed := shard_names.parse_shard_name(name))]
    if not found:
        raise FileNotFoundError(f"No shard matches {data_dir}/*-?????-of-?????, such as train-00000-of-00256.")
    expected = {shard_names.shard_name(shard.split, i, shard.count) for shard in found for i in range(shard.count)}
    if missing := sorted(expected - set(names)):
        raise FileNotFoundError(
            f"{data_dir} lacks {len(missing)} of {len(expected)} shards, the first being {missing[0]}. Copy them there "
            "from where the others came from."
        )
    splits = sorted({shard.split for shard in found})
    return {split: shard_names.complete_shard_set(names, split, data_dir) for split in splits}


def _read_shard(data_dir: str, name: str, rules: Rules) -> _Shard:
    captions: list[tuple[int, str]] = []

    def keep_caption(example: Example) -> None:
        captions.append((example.image_id, detokenize(example.captions[0][1:-1], TOKENIZER)))

    content = storage.read_bytes(storage.join(data_dir, name), storage.MAX_SHARD_BYTES)
    found = check_shard(name, content, rules, keep_caption)
    checksum = f"{google_crc32c.value(content):08x}"
    entry = ShardEntry(name, len(content), checksum, dict(collections.Counter(found.captions.tolist())))
    return _Shard(entry, found, captions)


def _references(shards_of_split: list[_Shard]) -> References:
    captions: dict[int, list[str]] = collections.defaultdict(list)
    for shard in shards_of_split:
        for image_id, caption in shard.captions:
            captions[image_id].append(caption)
    return References({image_id: str(image_id) for image_id in captions}, dict(captions))


def _check_writable(data_dir: str) -> None:
    probe = storage.join(data_dir, storage.TEMPORARY_PREFIX + "adopt")
    try:
        storage.write_bytes(probe, b"")
        storage.remove(probe)
    except OSError as error:
        raise RuntimeError(
            f"{data_dir} cannot be written to ({error.strerror}), and the manifest must lie with the shards. Make a "
            f"folder of links, `mkdir shards && ln -s {data_dir}/* shards`, and run this with --data_dir=shards."
        ) from error
