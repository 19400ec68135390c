import collections
import dataclasses
import errno
import json
import os
import shutil
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
from im2txt.images import image_files
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
        (103, "missing_photograph"),  # What planning sees comes first.
        (104, "special_word"),
        (400, "no_split"),
        (401, "no_split"),
        (202, "truncated"),
    ]
    assert [line["caption"] for line in lines] == [None, "a <S> b", None, None, None]


def test_nothing_but_the_finished_build_is_left(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    names = {name for name in os.listdir(output) if "-of-" not in name}
    captions = {"captions_train.json", "captions_val.json", "captions_test.json"}
    assert names == {"manifest.json", "source.json", "word_counts.txt", "skipped.jsonl"} | captions


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


def test_the_same_command_over_other_photographs_does_not_touch_the_folder(data, output, tmp_path):
    prepare(data.source, output, OPTIONS, ONE)
    before = content(output)
    copy = tmp_path / "copy"
    shutil.copytree(data.images_dir, copy)
    with pytest.raises(
        RuntimeError, match="it was built from the photographs in .*Flicker8k_Dataset, and these are in"
    ):
        prepare(dataclasses.replace(data.source, images_dir=str(copy)), output, OPTIONS, ONE)
    state = os.stat(data.photograph(105))
    data.photograph(105).write_bytes(tiny_flickr8k.jpeg(105, (60, 30)))
    with pytest.raises(RuntimeError, match="holds shards of other photographs: it was built from 19 photographs of"):
        prepare(data.source, output, OPTIONS, ONE)
    data.photograph(105).write_bytes(tiny_flickr8k.jpeg(105)[::-1])
    with pytest.raises(RuntimeError, match="photographs in .*Flicker8k_Dataset were changed since"):
        prepare(data.source, output, OPTIONS, ONE)
    assert content(output) == before
    os.utime(data.photograph(105), ns=(state.st_atime_ns, state.st_mtime_ns))
    assert prepare(data.source, output, OPTIONS, ONE).new_captions == 0


def test_photographs_in_no_split_may_come_and_go(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    data.photograph(400).unlink()
    data.photograph(401).write_bytes(b"another")
    assert prepare(data.source, output, OPTIONS, ONE).new_captions == 0


def test_a_continued_build_writes_the_shards_of_changed_photographs_again(data, tmp_path):
    resumed = str(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        prepare(data.source, resumed, OPTIONS, InterruptedEngine(5, KeyboardInterrupt()))
    data.photograph(105).write_bytes(tiny_flickr8k.jpeg(999, (60, 30)))
    result = prepare(data.source, resumed, OPTIONS, ONE)
    prepare(data.source, str(tmp_path / "whole"), OPTIONS, ONE)
    assert content(resumed) == content(tmp_path / "whole")
    rewritten = {4 * 5, 2 * 5}  # One of the three train shards of four photographs, and the last test shard.
    assert result.new_captions == sum(rewritten)


def test_the_manifest_is_written_when_all_else_is_in_place(data, output, monkeypatch):
    at_the_manifest = []
    real = storage.write_bytes

    def write(path, encoded):
        if path.endswith("manifest.json"):
            at_the_manifest.append(set(os.listdir(output)))
        real(path, encoded)

    monkeypatch.setattr(storage, "write_bytes", write)
    prepare(data.source, output, OPTIONS, ONE)
    finished = {name for name in os.listdir(output) if not name.startswith(".")} - {"manifest.json"}
    assert len(at_the_manifest) == 1
    assert finished <= at_the_manifest[0]


@pytest.mark.parametrize("resize", [None, 10])
def test_a_strict_check_decodes_a_photograph_once_and_not_once_per_caption(data, tmp_path, monkeypatch, resize):
    data.photograph(103).write_bytes(data.photograph(103).read_bytes()[:-30])
    strict = PhotographOptions(verify="decode", resize_shorter_side=resize)
    decoded = collections.Counter()
    real = image_files._decode

    def decode(encoded, max_pixels, for_check=False):
        decoded[encoded] += for_check
        return real(encoded, max_pixels, for_check)

    monkeypatch.setattr(image_files, "_decode", decode)
    folders = [tmp_path / "pair", tmp_path / "resumed"]
    options = dataclasses.replace(PAIRS, photographs=strict)
    manifest = prepare(data.source, str(folders[0]), options, ONE).manifest
    assert manifest.skipped == {"no_split": 2, "truncated": 1}
    assert manifest.splits["train"].captions == 11 * 5
    sound = {
        data.photograph(n).read_bytes() for n in (*NUMBERS["train"], *NUMBERS["val"], *NUMBERS["test"]) if n != 103
    }
    assert {encoded: decoded[encoded] for encoded in sound} == dict.fromkeys(sound, 1)
    monkeypatch.setattr(image_files, "_decode", real)
    with pytest.raises(KeyboardInterrupt):
        prepare(data.source, str(folders[1]), options, InterruptedEngine(4, KeyboardInterrupt()))
    prepare(data.source, str(folders[1]), options, LocalEngine(2))
    assert content(folders[0]) == content(folders[1])


def test_what_killed_workers_leave_is_removed_when_a_build_ends_in_an_error(data, output):
    class Killed:
        def run(self, function, jobs, advice):
            yield function(next(iter(jobs)))
            storage.write_bytes(storage.join(output, ".tmp-17-0a0b0c0d"), b"half")
            raise RuntimeError("A worker process was killed")

    with pytest.raises(RuntimeError, match="A worker process was killed"):
        prepare(data.source, output, OPTIONS, Killed())
    assert not any(name.startswith(".tmp-") for name in os.listdir(output))
    assert sum("-of-" in name for name in os.listdir(output)) == 1


def test_a_second_build_at_the_same_time_is_refused(data, output):
    with folder_lock(output, "--output_dir"), pytest.raises(RuntimeError, match="Another process is writing into"):
        prepare(data.source, output, OPTIONS, ONE)


def test_too_many_unusable_photographs_end_the_build_with_a_list_and_no_manifest(data, output, tmp_path):
    strict = dataclasses.replace(OPTIONS, skips=SkipOptions(0.1))
    for number in (103, 105):
        data.photograph(number).write_bytes(b"")
    with pytest.raises(
        RuntimeError, match=r"2 of the 19 photographs in a split cannot be used \(2 empty_file\).*skipped.jsonl"
    ):
        prepare(data.source, output, strict, ONE)
    assert "manifest.json" not in os.listdir(output)
    assert storage.read_text(storage.join(output, "skipped.jsonl")).count("empty_file") == 2
    # Mended photographs are taken up by the same command: shards that missed them are written again.
    for number in (103, 105):
        data.photograph(number).write_bytes(tiny_flickr8k.jpeg(number))
    prepare(data.source, output, strict, ONE)
    prepare(data.source, str(tmp_path / "whole"), strict, ONE)
    assert content(output) == content(tmp_path / "whole")


def reasons(folder) -> dict[str, int]:
    lines = storage.read_text(storage.join(str(folder), "skipped.jsonl")).splitlines()
    return dict(collections.Counter(json.loads(line)["reason"] for line in lines))


def test_too_many_unusable_captions_end_the_build_before_anything_but_their_list_is_written(data, output):
    for index in range(5):
        data.change_caption(100 + index, index, "!")
    strict = dataclasses.replace(OPTIONS, skips=SkipOptions(0.05))
    with pytest.raises(RuntimeError, match=r"5 of the 95 captions of photographs in a split.*\(5 empty_caption\)"):
        prepare(data.source, output, strict, ONE)
    assert os.listdir(output) == ["skipped.jsonl"]
    assert reasons(output) == {"empty_caption": 5, "no_split": 2}
    data.change_caption(100, 0, "A dog .")
    assert prepare(data.source, output, strict, ONE).manifest.skipped == {"empty_caption": 4, "no_split": 2}


def test_the_limit_counts_all_that_is_unusable_and_not_only_what_came_before_it(data, output):
    broken = [*NUMBERS["train"], *NUMBERS["val"]][::2]
    for number in broken:
        data.photograph(number).write_bytes(b"")
    with pytest.raises(RuntimeError, match=rf"^{len(broken)} of the 19 photographs in a split"):
        prepare(data.source, output, OPTIONS, ONE)
    assert reasons(output) == {"empty_file": len(broken), "no_split": 2}


def test_photographs_in_no_split_are_never_limited_and_the_others_make_the_whole(data, output):
    for number in (400, 401):
        data.photograph(number).unlink()
    nothing = dataclasses.replace(OPTIONS, skips=SkipOptions(0.0))
    assert prepare(data.source, output, nothing, ONE).manifest.skipped == {"no_split": 2}


def test_missing_photographs_end_the_build_before_it_begins_and_leave_a_finished_folder_alone(data, output):
    prepare(data.source, output, OPTIONS, ONE)
    before = content(output)
    for number in NUMBERS["train"]:
        data.photograph(number).unlink()
    with pytest.raises(
        RuntimeError, match=r"^12 of the 19 photographs in a split .*\(12 missing_photograph\)"
    ) as error:
        prepare(data.source, output, OPTIONS, ONE)
    assert "skipped.jsonl" not in str(error.value)
    assert content(output) == before
    with pytest.raises(RuntimeError, match=r"All are listed in .*elsewhere/skipped\.jsonl\.$"):
        prepare(data.source, output + "/elsewhere", OPTIONS, ONE)


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
    words = read_split(output, "train")[0].feature_lists.feature_list["image/caption"].feature[0].bytes_list.value
    assert {len(word.decode()) for word in words[1:-1]} == {1}  # Characters.
    assert ShardFolder(output, manifest).read_vocabulary().word_to_id("dog") == 0


def test_a_remote_folder_gets_the_same_bytes(data, output):
    remote = f"memory://{uuid.uuid4()}/shards"
    prepare(data.source, remote, OPTIONS, ONE)
    prepare(data.source, output, OPTIONS, ONE)
    assert content(remote) == content(output)
