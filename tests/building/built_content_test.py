"""What a build tells of itself: manifest, list of what was left out, warnings."""

import collections
import dataclasses
import itertools
import json
import shutil

import pytest

from data_prep.building.prepare import prepare
from data_prep.building.skips import SkipOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from data_prep.sources.base import LeftOut, SourceWarning
from data_prep.sources.flickr8k import Flickr8k
from im2txt.engines.local_engine import LocalEngine
from im2txt.system import storage
from tests import tiny_flickr8k
from tests.tiny_flickr8k import NUMBERS, OPTIONS, captions_of, name_of

PAIRS = dataclasses.replace(OPTIONS, shards=dataclasses.replace(OPTIONS.shards, layout="pair"))
ONE = LocalEngine(1)


@pytest.fixture
def data(tmp_path):
    return tiny_flickr8k.write(tmp_path / "données ü")


@pytest.fixture
def output(tmp_path):
    return str(tmp_path / "my shards")


def content(folder) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(str(folder), name)) for name in storage.list_names(str(folder))}


def test_shards_and_manifest_do_not_depend_on_folders_and_times(data, output, tmp_path):
    vocabulary = tmp_path / "given.txt"
    vocabulary.write_text("dog 3\n<S> 2\n</S> 2")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(data.images_dir.parent, elsewhere, copy_function=shutil.copyfile)
    shutil.copyfile(vocabulary, elsewhere / "given.txt")
    for folder, source, words in (
        (output, data.source, vocabulary),
        (
            tmp_path / "copy",
            Flickr8k(str(elsewhere / "Flicker8k_Dataset"), str(elsewhere / "Flickr8k_text")),
            elsewhere / "given.txt",
        ),
    ):
        options = dataclasses.replace(OPTIONS, vocabulary=VocabularyOptions(vocabulary_file=str(words)))
        prepare(source, str(folder), options, ONE)
    one, other = content(output), content(tmp_path / "copy")
    assert one.pop("source.json") != other.pop("source.json")
    assert one == other


def test_what_a_source_has_to_say_reaches_the_manifest_and_the_list(data, output):
    class Odd:
        def read(self):
            yield SourceWarning("captions.csv: one line was mended.")
            yield from data.source.read()
            yield LeftOut("notes.txt", "text_without_photograph", "no photograph of that name lies beside it")

    manifest = prepare(Odd(), output, dataclasses.replace(OPTIONS, skips=SkipOptions(0.0)), ONE).manifest
    assert manifest.warnings == ("captions.csv: one line was mended.",)
    assert manifest.skipped == {"no_split": 2, "text_without_photograph": 1}
    first = json.loads(storage.read_text(storage.join(output, "skipped.jsonl")).splitlines()[0])
    assert (first["image_id"], first["file_name"], first["caption"]) == (None, "notes.txt", None)


@pytest.mark.parametrize("options", [OPTIONS, PAIRS], ids=["image", "pair"])
def test_one_photograph_under_two_names_in_two_splits_is_told(data, output, options):
    for copy in (201, 302, 111, 400):
        data.photograph(copy).write_bytes(data.photograph(105).read_bytes())
    (warning,) = prepare(data.source, output, options, ONE).manifest.warnings
    first, second = (
        f"{name_of(105)!r} (train) = {name_of(n)!r} ({split})" for n, split in ((201, "val"), (302, "test"))
    )
    assert warning.startswith("2 photograph(s) stand in two splits under two names, which makes scores too good: ")
    assert warning.endswith(f": {first}, {second}.")


def test_equal_photographs_within_a_split_are_no_warning(data, output):
    data.photograph(111).write_bytes(data.photograph(105).read_bytes())
    assert prepare(data.source, output, OPTIONS, ONE).manifest.warnings == ()


def test_missing_photographs_are_out_before_words_are_counted(data, output, tmp_path):
    data.photograph(100).unlink()  # The only one with "rare".
    options = dataclasses.replace(OPTIONS, vocabulary=VocabularyOptions(min_word_count=1))
    manifest = prepare(data.source, output, options, ONE).manifest
    training = [f"<S> {c.lower()} </S>".split() for n in NUMBERS["train"] if n != 100 for c in captions_of(n)]
    lines = storage.read_text(storage.join(output, "word_counts.txt")).split("\n")
    assert {line.split()[0]: int(line.split()[1]) for line in lines} == collections.Counter(itertools.chain(*training))
    assert (manifest.skipped, manifest.vocabulary_only_captions) == ({"missing_photograph": 1, "no_split": 2}, 0)


def test_photographs_that_turn_out_broken_leave_their_captions_in_the_vocabulary_and_the_manifest_says_how_many(
    data, output, tmp_path
):
    for number in (100, 201):
        data.photograph(number).write_bytes(b"")
    options = dataclasses.replace(OPTIONS, vocabulary=VocabularyOptions(min_word_count=1))
    assert prepare(data.source, output, options, ONE).manifest.vocabulary_only_captions == 5  # Of train alone.
    vocabulary = storage.join(output, "word_counts.txt")
    assert "rare 1" in storage.read_text(vocabulary).split("\n")
    given = dataclasses.replace(options, vocabulary=VocabularyOptions(vocabulary_file=vocabulary))
    assert prepare(data.source, str(tmp_path / "given"), given, ONE).manifest.vocabulary_only_captions == 0
    extended = VocabularyOptions(vocabulary_file=vocabulary, extend_vocabulary=True)
    again = prepare(data.source, str(tmp_path / "more"), dataclasses.replace(options, vocabulary=extended), ONE)
    assert again.manifest.vocabulary_only_captions == 5
