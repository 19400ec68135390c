import collections
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import uuid

import google_crc32c
import pytest
import tensorflow as tf

from data_prep.building import shard_writer
from data_prep.building.build_plan import BuildOptions
from data_prep.building.planned_captions import CaptionOptions
from data_prep.building.prepare import prepare
from data_prep.building.skips import SkipOptions
from data_prep.building.splits import SplitOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from im2txt.engines.local_engine import LocalEngine
from im2txt.images.image_files import PhotographOptions
from im2txt.shards import references
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.folder_lock import folder_lock
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


def read_split(folder, split) -> list[tf.train.SequenceExample]:
    files = sorted(tf.io.gfile.glob(f"{folder}/{split}-?????-of-?????"))
    return [tf.train.SequenceExample.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files)]


def image_id(example) -> int:
    return example.context.feature["image/image_id"].int64_list.value[0]


def content(folder) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(str(folder), name)) for name in storage.list_names(str(folder))}


def test_a_folder_holds_every_photograph_of_the_lists_once_with_its_bytes_and_words(data, output):
    manifest = prepare(data.source, output, OPTIONS, ONE).manifest
    words = [line.split()[0] for line in (data.text_dir.parent / output / "word_counts.txt").read_text().split("\n")]
    words.append("<UNK>")
    for split in ("train", "val", "test"):
        examples = read_split(output, split)
        assert sorted(map(image_id, examples)) == list(NUMBERS[split])
        for example in examples:
            number = image_id(example)
            lists = example.feature_lists.feature_list
            spelled = [[w.decode() for w in step.bytes_list.value] for step in lists["image/caption"].feature]
            assert spelled == [["<S>", *c.lower().split(), "</S>"] for c in captions_of(number)]
            ids = [list(step.int64_list.value) for step in lists["image/caption_ids"].feature]
            assert [[words[i] for i in step] for step in ids] == [
                [w if w in words else "<UNK>" for w in step] for step in spelled
            ]
            encoded = example.context.feature["image/data"].bytes_list.value[0]
            assert encoded == data.photograph(number).read_bytes()
    assert [len(manifest.splits[split].shards) for split in ("train", "val", "test")] == [3, 1, 2]


def test_only_training_captions_make_the_vocabulary(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    training = [f"<S> {c.lower()} </S>".split() for n in NUMBERS["train"] for c in captions_of(n)]
    counts = collections.Counter(word for words in training for word in words)
    expected = {word: count for word, count in counts.items() if count >= 2}
    lines = storage.read_text(storage.join(output, "word_counts.txt")).split("\n")
    assert {line.split()[0]: int(line.split()[1]) for line in lines} == expected
    assert "zebra" not in expected


def test_the_manifest_counts_what_the_files_hold(data, output):
    data.photograph(103).write_bytes(b"<html>")
    data.change_caption(104, 2, "?")
    manifest = prepare(data.source, output, OPTIONS, ONE).manifest
    assert manifest == ShardFolder.open(output).manifest
    assert manifest.skipped == {"empty_caption": 1, "no_split": 2, "not_an_image": 1}
    for split, entry in manifest.splits.items():
        examples = read_split(output, split)
        ids = [
            list(s.int64_list.value)
            for e in examples
            for s in e.feature_lists.feature_list["image/caption_ids"].feature
        ]
        unknown_id = len(storage.read_text(storage.join(output, "word_counts.txt")).split("\n"))
        assert entry.images == entry.examples == len(examples)
        assert entry.captions == len(ids)
        assert entry.words == sum(len(caption) - 1 for caption in ids)
        assert entry.unknown_words == sum(caption.count(unknown_id) for caption in ids)
        for shard in entry.shards:
            stored = storage.read_bytes(storage.join(output, shard.name))
            assert (shard.bytes, shard.crc32c) == (len(stored), f"{google_crc32c.value(stored):08x}")
    assert manifest.splits["train"].captions_per_image == {4: 1, 5: 10}
    assert manifest.splits["test"].unknown_words >= 4
    assert manifest.options["source"]["kind"] == "Flickr8k"
    assert manifest.options["photographs"] == {"verify": "header", "resize_shorter_side": None}


def test_references_are_the_raw_captions_of_what_is_in_the_shards(data, output):
    data.photograph(103).write_bytes(b"")
    data.change_caption(104, 2, "...")
    prepare(data.source, output, OPTIONS, ONE)
    read = references.read_references(output, "train")
    expected = {n: captions_of(n) for n in NUMBERS["train"] if n != 103}
    expected[104] = [caption for i, caption in enumerate(captions_of(104)) if i != 2]
    assert read.captions == expected
    assert read.file_names == {n: name_of(n) for n in expected}


def test_what_was_left_out_is_listed_with_its_reason(data, output):
    data.photograph(103).unlink()
    data.photograph(202).write_bytes(data.photograph(202).read_bytes()[:-30])
    data.change_caption(104, 2, "a <S> b")
    prepare(data.source, output, dataclasses.replace(OPTIONS, skips=SkipOptions(0.5)), ONE)
    lines = [json.loads(line) for line in storage.read_text(storage.join(output, "skipped.jsonl")).splitlines()]
    assert [(line["image_id"], line["reason"]) for line in lines] == [
        (104, "special_word"),
        (400, "no_split"),
        (401, "no_split"),
        (103, "missing_photograph"),
        (202, "truncated"),
    ]
    assert lines[0]["caption"] == "a <S> b"


def test_nothing_but_the_finished_build_is_left(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    names = {name for name in os.listdir(output) if "-of-" not in name}
    captions = {"captions_train.json", "captions_val.json", "captions_test.json"}
    assert names == {"manifest.json", "word_counts.txt", "skipped.jsonl"} | captions


def test_the_pair_layout_is_the_originals(data, output):
    manifest = prepare(data.source, output, PAIRS, ONE).manifest
    examples = read_split(output, "train")
    assert collections.Counter(map(image_id, examples)) == dict.fromkeys(NUMBERS["train"], 5)
    first = examples[0].feature_lists.feature_list["image/caption"].feature
    assert all(len(step.bytes_list.value) == 1 for step in first)
    sentences = {
        " ".join(step.bytes_list.value[0].decode() for step in e.feature_lists.feature_list["image/caption"].feature)
        for e in examples
        if image_id(e) == 107
    }
    assert sentences == {f"<S> {caption.lower()} </S>" for caption in captions_of(107)}
    entry = manifest.splits["train"]
    assert (entry.examples, entry.captions, entry.images, entry.captions_per_image) == (60, 60, 12, {5: 12})


def test_an_unusable_photograph_counts_once_in_the_pair_layout(data, output):
    data.photograph(103).write_bytes(b"")
    manifest = prepare(data.source, output, PAIRS, ONE).manifest
    assert manifest.skipped == {"empty_file": 1, "no_split": 2}
    assert (manifest.splits["train"].images, manifest.splits["train"].captions) == (11, 55)


@pytest.mark.parametrize("options", [OPTIONS, PAIRS], ids=["image", "pair"])
def test_three_workers_write_the_bytes_of_one(data, tmp_path, options):
    data.photograph(103).write_bytes(b"")
    prepare(data.source, str(tmp_path / "one"), options, ONE)
    prepare(data.source, str(tmp_path / "three"), options, LocalEngine(3))
    assert content(tmp_path / "one") == content(tmp_path / "three")


class InterruptedEngine:
    """Runs some jobs, then raises."""

    def __init__(self, jobs: int, error: BaseException):
        self._jobs, self._error = jobs, error

    def run(self, function, jobs, advice):
        self.advice = advice
        for number, job in enumerate(jobs):
            if number == self._jobs:
                raise self._error
            yield function(job)


@pytest.mark.parametrize("options", [OPTIONS, PAIRS], ids=["image", "pair"])
@pytest.mark.parametrize("jobs", [0, 1, 4])
def test_an_interrupted_build_goes_on_to_the_same_bytes(data, tmp_path, options, jobs, monkeypatch):
    prepare(data.source, str(tmp_path / "whole"), options, ONE)
    resumed = str(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        prepare(data.source, resumed, options, InterruptedEngine(jobs, KeyboardInterrupt()))
    with pytest.raises(FileNotFoundError, match="no finished set of shards"):
        ShardFolder.open(resumed)
    written = []
    real = shard_writer.write_shard
    monkeypatch.setattr("data_prep.building.prepare.write_shard", lambda job: written.append(job.name) or real(job))
    result = prepare(data.source, resumed, options, ONE)
    assert len(written) == 6 - jobs
    assert result.new_captions == sum(
        shard.examples * (5 if options is OPTIONS else 1)
        for split in result.manifest.splits.values()
        for shard in split.shards
        if shard.name in written
    )
    assert content(resumed) == content(tmp_path / "whole")


def test_a_killed_build_goes_on_to_the_same_bytes(data, tmp_path):
    prepare(data.source, str(tmp_path / "whole"), OPTIONS, ONE)
    code = (
        "import os, signal, sys\n"
        "from data_prep.building import prepare\n"
        "from im2txt.engines.local_engine import LocalEngine\n"
        "from data_prep.sources.flickr8k import Flickr8k\n"
        "from tests.tiny_flickr8k import OPTIONS\n"
        "real, done, sync = prepare.write_shard, [], os.fsync\n"
        "def write(job):\n"
        "    done.append(job.name)\n"
        "    if len(done) == 3: os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(job)\n"
        "prepare.write_shard = write\n"
        "prepare.prepare(Flickr8k(*sys.argv[1:3]), sys.argv[3], OPTIONS, LocalEngine(1))\n"
    )
    folder = str(tmp_path / "killed")
    arguments = [sys.executable, "-c", code, str(data.images_dir), str(data.text_dir), folder]
    killed = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = os.listdir(folder)
    assert sum(name.startswith(".tmp-") for name in left) == 1
    assert sum("-of-" in name for name in left) == 2
    prepare(data.source, folder, OPTIONS, ONE)
    assert content(folder) == content(tmp_path / "whole")


def test_a_full_disk_is_an_error_after_which_the_build_goes_on(data, output, tmp_path, monkeypatch):
    calls = []
    real = os.writev

    def writev(descriptor, parts):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, parts)

    monkeypatch.setattr(os, "writev", writev)
    with pytest.raises(OSError, match="No space left on device"):
        prepare(data.source, output, OPTIONS, ONE)
    assert not any(name.startswith(".tmp-") for name in os.listdir(output))
    prepare(data.source, output, OPTIONS, ONE)
    prepare(data.source, str(tmp_path / "whole"), OPTIONS, ONE)
    assert content(output) == content(tmp_path / "whole")


def test_a_worker_that_dies_is_an_error_after_which_the_build_goes_on(data, output, tmp_path):
    engine = InterruptedEngine(2, RuntimeError("A worker process was killed"))
    with pytest.raises(RuntimeError, match="worker"):
        prepare(data.source, output, OPTIONS, engine)
    assert engine.advice == "Run the same command again: finished shards are kept."
    prepare(data.source, output, OPTIONS, LocalEngine(2))
    prepare(data.source, str(tmp_path / "whole"), OPTIONS, ONE)
    assert content(output) == content(tmp_path / "whole")


def test_a_finished_build_is_not_done_again(data, output):
    first = prepare(data.source, output, OPTIONS, ONE).manifest
    times = {name: os.stat(os.path.join(output, name)).st_mtime_ns for name in os.listdir(output)}
    assert (
        prepare(data.source, output, OPTIONS, InterruptedEngine(0, AssertionError("nothing to do"))).manifest == first
    )
    assert {name: os.stat(os.path.join(output, name)).st_mtime_ns for name in os.listdir(output)} == times


def test_another_build_does_not_touch_the_folder(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    before = content(output)
    with pytest.raises(RuntimeError, match="holds shards of another build"):
        prepare(data.source, output, PAIRS, ONE)
    data.change_caption(100, 0, "A dog sleeps .")
    with pytest.raises(RuntimeError, match="holds shards of another build"):
        prepare(data.source, output, OPTIONS, ONE)
    assert content(output) == before


def test_a_second_build_at_the_same_time_is_refused(data, output):
    with folder_lock(output, "--output_dir"), pytest.raises(RuntimeError, match="Another process is writing into"):
        prepare(data.source, output, OPTIONS, ONE)


def test_too_many_unusable_photographs_end_the_build_with_a_list_and_no_manifest(data, output, tmp_path):
    strict = dataclasses.replace(OPTIONS, skips=SkipOptions(0.1))
    for number in (103, 105):
        data.photograph(number).write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"2 of 19 photographs cannot be used \(2 empty_file\).*skipped.jsonl"):
        prepare(data.source, output, strict, ONE)
    assert "manifest.json" not in os.listdir(output)
    assert storage.read_text(storage.join(output, "skipped.jsonl")).count("empty_file") == 2
    # Mended photographs are taken up by the same command: shards that missed them are written again.
    for number in (103, 105):
        data.photograph(number).write_bytes(tiny_flickr8k.jpeg(number))
    prepare(data.source, output, strict, ONE)
    prepare(data.source, str(tmp_path / "whole"), strict, ONE)
    assert content(output) == content(tmp_path / "whole")


def test_too_many_unusable_captions_end_the_build_before_anything_is_written(data, output):
    for index in range(5):
        data.change_caption(100 + index, index, "!")
    with pytest.raises(RuntimeError, match=r"5 of 95 captions cannot be used \(5 empty_caption\)"):
        prepare(data.source, output, dataclasses.replace(OPTIONS, skips=SkipOptions(0.05)), ONE)
    assert not os.path.exists(output)


def test_two_photographs_of_one_id_are_refused(data, output):
    class Twice:
        def read(self):
            yield from data.source.read()
            yield next(iter(data.source.read()))

    with pytest.raises(ValueError, match=f"Two photographs have id 100: '{name_of(100)}' and '{name_of(100)}'"):
        prepare(Twice(), output, OPTIONS, ONE)


@pytest.mark.parametrize("bad_id", [-1, 2**63])
def test_an_id_that_an_int64_cannot_hold_is_refused(data, output, bad_id):
    class Strange:
        def read(self):
            for image in data.source.read():
                yield dataclasses.replace(image, image_id=bad_id)

    with pytest.raises(ValueError, match=f"has id {bad_id}; ids are in"):
        prepare(Strange(), output, OPTIONS, ONE)


def test_an_empty_source_is_refused(output):
    class Empty:
        def read(self):
            return iter(())

    with pytest.raises(ValueError, match="The source holds no photographs"):
        prepare(Empty(), output, OPTIONS, ONE)


def test_options_reach_the_shards(data, output, tmp_path):
    vocabulary = tmp_path / "given.txt"
    vocabulary.write_text("dog 3\n<S> 2\n</S> 2")
    options = BuildOptions(
        captions=CaptionOptions(tokenizer="char"),
        splits=SplitOptions(split_by="hash", val_fraction=0.3, test_fraction=0.0),
        vocabulary=VocabularyOptions(vocabulary_file=str(vocabulary)),
        photographs=PhotographOptions(resize_shorter_side=15, verify="decode"),
    )
    manifest = prepare(data.source, output, options, ONE).manifest
    assert sorted(manifest.splits) == ["train", "val"]
    assert sum(split.images for split in manifest.splits.values()) == 21
    assert manifest.tokenizer == "char"
    assert storage.read_text(storage.join(output, "word_counts.txt")) == "dog 3\n<S> 2\n</S> 2"
    encoded = read_split(output, "train")[0].context.feature["image/data"].bytes_list.value[0]
    assert tf.io.decode_jpeg(encoded).shape == (15, 20, 3)
    assert ShardFolder(output, manifest).read_vocabulary().word_to_id("dog") == 0


def test_a_remote_folder_gets_the_same_bytes(data, output):
    remote = f"memory://{uuid.uuid4()}/shards"
    prepare(data.source, remote, OPTIONS, ONE)
    prepare(data.source, output, OPTIONS, ONE)
    assert content(remote) == content(output)
