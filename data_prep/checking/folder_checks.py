"""What must hold between a folder's manifest, its shards, its vocabulary and its captions files."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import google_crc32c
import numpy as np

from data_prep.checking.shard_checks import LOST_BYTES, Fault, Rules, ShardContent, check_shard
from im2txt.shards import manifest as manifests
from im2txt.shards import shard_names
from im2txt.shards.manifest import Manifest, ShardEntry, SplitEntry
from im2txt.shards.records import Layout
from im2txt.shards.references import read_references, references_name
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import for_each_shard
from im2txt.system import storage
from im2txt.text.vocabulary import FILE_NAME as VOCABULARY_FILE_NAME
from im2txt.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class FolderReport:
    """What is wrong with a folder of shards, and what is merely worth knowing."""

    manifest: Manifest
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def check_folder(data_dir: str, decode_images: bool, num_readers: int) -> FolderReport:
    """Reads every byte of a folder of shards and checks it against the manifest.

    Args:
        data_dir: the folder, of image shards or feature shards.
        decode_images: whether to decode every photograph too.
        num_readers: shards read at the same time; each is held in memory whole.

    Raises:
        FileNotFoundError: if the folder has no manifest.
        ValueError: if the manifest cannot be read.
    """
    folder = ShardFolder.open(data_dir)
    manifest = folder.manifest
    faults, notes = [], []
    vocabulary = None
    try:
        vocabulary = folder.read_vocabulary()
    except (ValueError, FileNotFoundError) as error:
        advice = f"Put back the {VOCABULARY_FILE_NAME} that was written with the shards. Word ids were not checked."
        faults.append(Fault(VOCABULARY_FILE_NAME, str(error), advice))
    rules = Rules(manifest.layout, vocabulary, manifest.encoder, decode_images)
    contents = check_shards(data_dir, manifest, rules, num_readers)
    for content in itertools.chain.from_iterable(contents.values()):
        faults.extend(content.faults)
    for split, entry in manifest.splits.items():
        if all(content.is_readable for content in contents[split]):
            faults.extend(_total_faults(split, entry, contents[split], vocabulary is not None))
            faults.extend(_reference_faults(data_dir, split, contents[split]))
            if split == "train" and vocabulary is not None:
                faults.extend(_vocabulary_faults(manifest, vocabulary, contents[split]))
        else:
            notes.append(f"{split}: totals and captions were not compared, because not every record could be read.")
        repeated_faults, repeated_notes = repetitions(split, contents[split], manifest.layout)
        faults.extend(repeated_faults)
        notes.extend(repeated_notes)
    faults.extend(leaks(contents))
    notes.extend(_strangers(data_dir, manifest))
    return FolderReport(manifest, tuple(faults), tuple(notes))


def check_shards(data_dir: str, manifest: Manifest, rules: Rules, num_readers: int) -> dict[str, list[ShardContent]]:
    """Checks every shard that a manifest lists, several at a time, under a progress bar.

    Returns:
        By split, in the manifest's order.
    """
    entries = {entry.name: entry for split in manifest.splits.values() for entry in split.shards}
    found = for_each_shard(
        {name: entry.bytes for name, entry in entries.items()},
        lambda name: _check_entry(data_dir, entries[name], rules),
        num_readers,
    )
    return {split: [found[entry.name] for entry in content.shards] for split, content in manifest.splits.items()}


def describe(faults: Sequence[Fault], notes: Sequence[str]) -> str:
    """Returns faults, with what to do about each, and notes, for people; ends in how many faults there are."""
    lines = [f"FAULT  {fault.where}: {fault.problem}\n       {fault.advice}" for fault in faults]
    lines += [f"note   {note}" for note in notes]
    lines.append(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} found." if faults else "No fault found.")
    return "\n".join(lines)


def split_entry(contents: Sequence[ShardContent], entries: tuple[ShardEntry, ...]) -> SplitEntry:
    """Counts a split from what its shards hold."""
    captions = _captions_by_image(contents)
    return SplitEntry(
        images=len(captions),
        captions=sum(captions.values()),
        words=sum(content.words for content in contents),
        unknown_words=sum(content.unknown_words for content in contents),
        captions_per_image=dict(sorted(collections.Counter(captions.values()).items())),
        shards=entries,
    )


def leaks(contents: Mapping[str, Sequence[ShardContent]]) -> Iterator[Fault]:
    """Yields a fault for each pair of splits that share photographs, by id or by content."""
    for a, b in itertools.combinations(contents, 2):
        ids = {split: _all(contents[split], "image_ids") for split in (a, b)}
        hashes = {split: _all(contents[split], "content_hashes") for split in (a, b)}
        shared_ids = np.intersect1d(ids[a], ids[b])
        if shared_ids.size:
            yield Fault(
                f"{a} and {b}",
                f"share {_images(shared_ids.tolist())}.",
                "Scores would be too good: mend the lists of the splits and build the folder again.",
            )
        other = {split: ~np.isin(ids[split], shared_ids) for split in (a, b)}
        shared_hashes = np.intersect1d(hashes[a][other[a]], hashes[b][other[b]])
        if shared_hashes.size:
            pairs = ", ".join(
                f"{ids[a][np.flatnonzero(hashes[a] == h)[0]]} = {ids[b][np.flatnonzero(hashes[b] == h)[0]]}"
                for h in shared_hashes[:5]
            )
            yield Fault(
                f"{a} and {b}",
                f"share {shared_hashes.size} photograph(s) of the same content under two ids: {pairs}"
                f"{' ...' if shared_hashes.size > 5 else ''}.",
                "Scores would be too good: take one of the two out of the source, or move both into one split, and "
                "build the folder again.",
            )


def repetitions(split: str, contents: Sequence[ShardContent], layout: Layout) -> tuple[list[Fault], list[str]]:
    """Returns faults about ids that stand for several records or photographs, and notes about equal photographs."""
    pairs = np.stack([_all(contents, "image_ids").view(np.uint64), _all(contents, "content_hashes")], axis=1)
    if layout == "pair":
        pairs = np.unique(pairs, axis=0)
    faults, notes = [], []
    image_ids, counts = np.unique(pairs[:, 0], return_counts=True)
    if (repeated := image_ids[counts > 1]).size:
        what = "with different photographs" if layout == "pair" else "in more than one record"
        advice = "Two photographs of the source have one id. Give each its own and build the folder again."
        faults.append(Fault(split, f"holds {_images(repeated.tolist())} {what}.", advice))
    hashes, counts = np.unique(np.unique(pairs, axis=0)[:, 1], return_counts=True)
    if (equal := hashes[counts > 1]).size:
        examples = pairs[np.isin(pairs[:, 1], equal[:1]), 0]
        notes.append(
            f"{split}: {equal.size} photograph(s) stand under more than one id, for instance "
            f"{_images(np.unique(examples).tolist())}."
        )
    return faults, notes


def _check_entry(data_dir: str, entry: ShardEntry, rules: Rules) -> ShardContent:
    path = storage.join(data_dir, entry.name)
    try:
        content = storage.read_bytes(path, storage.MAX_SHARD_BYTES)
    except FileNotFoundError:
        return _nothing(Fault(entry.name, f"is missing: no {path}.", LOST_BYTES))
    faults = []
    crc32c = f"{google_crc32c.value(content):08x}"
    if len(content) != entry.bytes:
        faults.append(Fault(entry.name, f"has {len(content)} bytes, the manifest says {entry.bytes}.", LOST_BYTES))
    elif crc32c != entry.crc32c:
        faults.append(Fault(entry.name, f"has the checksum {crc32c}, the manifest says {entry.crc32c}.", LOST_BYTES))
    found = check_shard(entry.name, content, rules)
    histogram = dict(sorted(collections.Counter(found.captions.tolist()).items()))
    if found.is_readable and histogram != entry.captions_per_example:
        problem = f"has captions per example {histogram}, the manifest says {entry.captions_per_example}."
        faults.append(Fault(entry.name, problem, LOST_BYTES))
    return dataclasses.replace(found, faults=(*faults, *found.faults))


def _nothing(fault: Fault) -> ShardContent:
    empty = np.zeros(0, np.int64)
    return ShardContent(empty, empty.astype(np.uint64), empty, 0, 0, empty, (fault,), is_readable=False)


def _total_faults(
    split: str, expected: SplitEntry, contents: Sequence[ShardContent], ids_are_checked: bool
) -> Iterator[Fault]:
    found = split_entry(contents, expected.shards)
    for field in ("images", "captions", "words", "unknown_words", "captions_per_image"):
        if field == "unknown_words" and not ids_are_checked:
            continue
        if getattr(found, field) != getattr(expected, field):
            yield Fault(
                split,
                f"has {field.replace('_', ' ')} {getattr(found, field)}, the manifest says {getattr(expected, field)}.",
                f"{manifests.FILE_NAME} and the shards are of different builds. Put back the manifest that was written "
                "with the shards, or build the folder again.",
            )


def _vocabulary_faults(manifest: Manifest, vocabulary: Vocabulary, contents: Sequence[ShardContent]) -> Iterator[Fault]:
    """Yields a fault if a vocabulary that was built with the shards counts other words than the train shards hold.

    A vocabulary that was given, or came with shards of another tool, has its counts from elsewhere.
    """
    options = manifest.options.get("vocabulary")
    if not isinstance(options, dict) or options.get("vocabulary_file") is not None:
        return
    counted = np.array(vocabulary.counts, np.int64)
    surplus = counted - sum(content.word_counts for content in contents)
    surplus[vocabulary.unknown_id] = 0  # Its words are counted under their spelling, if at all.
    lost = manifest.vocabulary_only_captions
    wrong = (surplus < 0) | ((surplus > 0) & (lost == 0))
    wrong[[vocabulary.start_id, vocabulary.end_id]] = surplus[[vocabulary.start_id, vocabulary.end_id]] != lost
    if wrong.any():
        worst = max(np.flatnonzero(wrong), key=lambda word_id: abs(surplus[word_id]))
        yield Fault(
            VOCABULARY_FILE_NAME,
            f"counts {vocabulary.words[worst]!r} {counted[worst]:,} times, the train shards hold it "
            f"{counted[worst] - surplus[worst]:,} times ({np.count_nonzero(wrong):,} words differ).",
            "The vocabulary counts captions that are not in the shards, or not all that are. Build the folder again.",
        )


def _reference_faults(data_dir: str, split: str, contents: Sequence[ShardContent]) -> Iterator[Fault]:
    name = references_name(split)
    advice = f"Put back the {name} that was written with the shards, or build the folder again."
    try:
        references = read_references(data_dir, split)
    except (ValueError, FileNotFoundError) as error:
        yield Fault(name, str(error), advice)
        return
    in_file = {image_id: len(captions) for image_id, captions in references.captions.items()}
    in_shards = _captions_by_image(contents)
    if missing := sorted(in_shards.keys() - in_file.keys()):
        yield Fault(name, f"lacks {_images(missing)} of the shards.", advice)
    if surplus := sorted(in_file.keys() - in_shards.keys()):
        yield Fault(name, f"has {_images(surplus)} that the shards do not hold.", advice)
    both = in_file.keys() & in_shards.keys()
    if different := sorted(image_id for image_id in both if in_file[image_id] != in_shards[image_id]):
        yield Fault(name, f"has more or fewer captions than the shards for {_images(different)}.", advice)


def _strangers(data_dir: str, manifest: Manifest) -> Iterator[str]:
    """Yields notes about files that the manifest does not know; tools that read by pattern would take them in."""
    listed = {entry.name for split in manifest.splits.values() for entry in split.shards}
    strangers = [n for n in storage.list_names(data_dir) if shard_names.parse_shard_name(n) and n not in listed]
    if strangers:
        shown = ", ".join(strangers[:5]) + (" ..." if len(strangers) > 5 else "")
        yield f"{len(strangers)} shard(s) that the manifest does not list and training does not read: {shown}."
    temporary = [n for n in storage.list_names(data_dir) if n.startswith(storage.TEMPORARY_PREFIX)]
    if temporary:
        yield f"{len(temporary)} file(s) left by an interrupted command, to be deleted: {temporary[0]} ..."


def _captions_by_image(contents: Sequence[ShardContent]) -> dict[int, int]:
    image_ids, index = np.unique(_all(contents, "image_ids"), return_inverse=True)
    captions = np.bincount(index, weights=_all(contents, "captions"), minlength=len(image_ids)).astype(int)
    return dict(zip(image_ids.tolist(), captions.tolist(), strict=True))


def _all(contents: Sequence[ShardContent], field: str) -> np.ndarray:
    return np.concatenate([getattr(content, field) for content in contents])


def _images(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:5])) + (" ..." if len(ids) > 5 else "")
    return f"{len(ids)} image{'s' if len(ids) > 1 else ''} ({shown})"
