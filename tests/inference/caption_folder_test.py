"""Folders of captions: the same bytes however they came about, nothing lost, nothing of another model."""

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import google_crc32c
import pytest
import tensorflow as tf
from fake_runs import random_run, write_run
from fakes import jpeg, write_dataset

from im2txt.engines.local_engine import LocalEngine
from im2txt.inference import caption_folder, shard_captions
from im2txt.inference.caption_files import read_results
from im2txt.inference.caption_folder import caption_files
from im2txt.inference.caption_model import Model
from im2txt.inference.photograph_captioner import PhotographCaptioner

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), random_run())


@pytest.fixture(scope="module")
def model(workdir):
    return Model((workdir,), (("beam_size", 2),), batch_size=3, num_threads=1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Three shards of this project, the last of them with a damaged record."""
    folder = tmp_path_factory.mktemp("shards")
    data = write_dataset(folder, {"test": 8}, shards_per_split=3)
    paths = [os.path.join(data.data_dir, entry.name) for entry in data.manifest.split("test").shards]
    content = bytearray(Path(paths[2]).read_bytes())
    content[content.index(b"image/data") + 40] ^= 1
    Path(paths[2]).write_bytes(content)
    return paths


@pytest.fixture(scope="module")
def folder(inputs, model, tmp_path_factory):
    """What one process writes."""
    output = tmp_path_factory.mktemp("captions") / "out"
    caption_files(inputs, str(output), "jsonl", model, LocalEngine(1))
    return output


def content_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_record_is_a_row_in_its_files_order(folder, inputs, workdir):
    found = [rows(folder / f"{os.path.basename(path)}.jsonl") for path in inputs]
    # Photograph i lies in shard i % 3.
    assert [[row["image_id"] for row in of_file] for of_file in found] == [[0, 3, 6], [1, 4, 7], [0, 5]]
    captioner = PhotographCaptioner.load(workdir, beam_size=2)
    for of_file in found[:2]:
        expected = captioner([jpeg(row["image_id"]) for row in of_file])
        for row, result in zip(of_file, expected, strict=True):
            assert [c["words"] for c in row["captions"]] == [c.words for c in result.candidates]
            assert [c["log_prob"] for c in row["captions"]] == pytest.approx(
                [c.log_prob for c in result.candidates], abs=1e-5
            )
    assert found[2][0]["error"].startswith("damaged: record 0 at byte 0")
    assert len({row["captions"][0]["words"] for of_file in found[:2] for row in of_file}) > 1


def test_the_manifest_counts_what_was_done(folder, inputs):
    manifest = json.loads((folder / "captions_manifest.json").read_text())
    assert manifest["photographs"] == 8
    assert manifest["errors"] == {"damaged": 1}
    assert [file["photographs"] for file in manifest["files"]] == [3, 3, 2]
    assert [file["input"] for file in manifest["files"]] == [os.path.basename(path) for path in inputs]
    assert [file["bytes"] for file in manifest["files"]] == [
        (folder / file["name"]).stat().st_size for file in manifest["files"]
    ]
    results = json.loads((folder / "captions.json").read_text())
    assert sorted(row["image_id"] for row in results) == [0, 1, 3, 4, 5, 6, 7]
    assert sorted(content_of(folder)) == sorted(
        [*(f["name"] for f in manifest["files"]), "captions.json", "captions_manifest.json"]
    )


def die_at_one(lost, job):
    """Captions, but the worker that is given the file `lost` is killed."""
    if job.name == lost:
        os.kill(os.getpid(), signal.SIGKILL)
    return shard_captions.caption_shard(job)


def test_two_workers_write_the_same_bytes_also_after_one_is_killed(folder, inputs, model, tmp_path, monkeypatch):
    output, names = tmp_path / "out", [f"{os.path.basename(path)}.jsonl" for path in inputs]
    with monkeypatch.context() as patch:
        patch.setattr(caption_folder, "caption_shard", functools.partial(die_at_one, names[2]))
        with pytest.raises(RuntimeError, match=r"A worker process was killed.* finished files are kept\.$"):
            caption_files(inputs, str(output), "jsonl", model, LocalEngine(2))
    assert not (output / "captions_manifest.json").exists()
    caption_files(inputs, str(output), "jsonl", model, LocalEngine(2))
    assert content_of(output) == content_of(folder)


def test_a_killed_command_goes_on_to_the_same_bytes(folder, inputs, model, tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, sys
        from im2txt.engines.local_engine import LocalEngine
        from im2txt.inference import caption_folder
        from im2txt.inference.caption_model import Model
        from im2txt.inference.shard_captions import caption_shard

        def die_at_the_third(job, done=[]):
            done.append(job)
            if len(done) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return caption_shard(job)

        caption_folder.caption_shard = die_at_the_third
        model = Model(({model.workdirs[0]!r},), {model.decoding!r}, 3, 1)
        caption_folder.caption_files({inputs!r}, sys.argv[1], "jsonl", model, LocalEngine(1))
    """)
    output = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", code, str(output)], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (output / "captions_manifest.json").exists()
    (output / ".tmp-1-00000000").write_bytes(b"half a file")
    caption_files(inputs, str(output), "jsonl", model, LocalEngine(1))
    assert content_of(output) == content_of(folder)


def test_a_finished_folder_is_left_as_it_is_and_a_lost_file_is_written_again(
    folder, inputs, model, tmp_path, monkeypatch
):
    output = tmp_path / "out"
    shutil.copytree(folder, output)
    written = []
    real = shard_captions.caption_shard
    monkeypatch.setattr(caption_folder, "caption_shard", lambda job: written.append(job.name) or real(job))
    caption_files(inputs, str(output), "jsonl", model, LocalEngine(1))
    assert written == []
    lost = f"{os.path.basename(inputs[1])}.jsonl"
    (output / lost).unlink()
    caption_files(inputs, str(output), "jsonl", model, LocalEngine(1))
    assert written == [lost]
    assert content_of(output) == content_of(folder)


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fewer inputs", "other inputs"),
        ("an input of the same name and size", "other inputs"),
        ("decoding", "another decoding"),
        ("weights", "another model"),
        ("batch and format", "another batch size and another format"),
    ],
)
def test_a_folder_of_other_captions_is_refused(folder, inputs, model, tmp_path, change, message, is_finished):
    output, output_format = tmp_path / "out", "jsonl"
    shutil.copytree(folder, output)
    if not is_finished:
        plan = json.loads((output / "captions_manifest.json").read_text())
        (output / "captions_manifest.json").rename(output / ".captions-plan.json")
        assert plan["fingerprint"]
    if change == "fewer inputs":
        inputs = inputs[:2]
    elif change == "an input of the same name and size":
        content = Path(inputs[0]).read_bytes()
        (tmp_path / os.path.basename(inputs[0])).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        inputs = [str(tmp_path / os.path.basename(inputs[0])), *inputs[1:]]
    elif change == "decoding":
        model = model._replace(decoding=(("beam_size", 1),))
    elif change == "weights":
        model = model._replace(workdirs=(write_run(tmp_path / "run", random_run(seed=9)),))
    else:
        model, output_format = model._replace(batch_size=4), "tfrecord"
    before = content_of(output)
    with pytest.raises(
        RuntimeError, match=f"^[^\n]*holds captions of {message}. Choose another --output_dir, or remove"
    ):
        caption_files(inputs, str(output), output_format, model, LocalEngine(1))
    assert content_of(output) == before


def test_a_damaged_manifest_is_named(folder, inputs, model, tmp_path):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / "captions_manifest.json").write_text('{"fingerprint": ')
    with pytest.raises(RuntimeError, match=r"captions_manifest\.json is damaged"):
        caption_files(inputs, str(tmp_path / "out"), "jsonl", model, LocalEngine(1))


@pytest.mark.parametrize(
    ("lost", "error", "message"),
    [
        ("best/*", FileNotFoundError, "No checkpoint in .* still being trained, or copied"),
        ("word_counts.txt", FileNotFoundError, "word_counts.txt"),
        ("config.json", FileNotFoundError, r"config\.json.*is no run of im2txt\.train"),
        ("best/*.data*", RuntimeError, r"None of the 1 checkpoint\(s\) is whole"),
        ("encoder/*.data*", ValueError, "encoder.weights is damaged"),
    ],
)
def test_a_model_half_written_is_refused(inputs, model, tmp_path, lost, error, message):
    workdir = tmp_path / "run"
    shutil.copytree(model.workdirs[0], workdir)
    for path in workdir.glob(lost):
        path.unlink()
    with pytest.raises(error, match=message):
        caption_files(inputs, str(tmp_path / "out"), "jsonl", model._replace(workdirs=(str(workdir),)), LocalEngine(1))
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_a_photograph_has_the_same_row_in_whatever_batch_it_comes(folder, inputs, model, tmp_path):
    expected = {row["image_id"]: row for path in folder.glob("test*") for row in rows(path) if "error" not in row}
    whole = tmp_path / "all"
    whole.write_bytes(b"".join(Path(path).read_bytes() for path in (inputs[2], inputs[1], inputs[0])))
    caption_files([str(whole)], str(tmp_path / "out"), "jsonl", model, LocalEngine(1))
    found = {row["image_id"]: row for row in rows(tmp_path / "out" / "all.jsonl") if "error" not in row}
    assert len(found) == 7
    assert found == expected


def test_odd_ids_empty_files_and_files_without_photographs(model, tmp_path):
    """Ids of digits are COCO's; those that come again are counted, and the first row is the one that is scored."""
    names = ["000000391895", "a\u2028b\x85", "2/7", "7"]
    with tarfile.open(tmp_path / "one.tar", "w") as archive:
        for name in [*names, "391895"]:
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(content := jpeg(len(name)))
            archive.addfile(member, io.BytesIO(content))
    (tmp_path / "empty").touch()
    (tmp_path / "notes.tar").write_bytes(bytes(1024))
    inputs = [str(tmp_path / name) for name in ("one.tar", "empty", "notes.tar")]
    manifest = caption_files(inputs, str(tmp_path / "out"), "jsonl", model, LocalEngine(1))
    assert [file["photographs"] for file in manifest["files"]] == [5, 0, 0]
    assert (manifest["photographs"], manifest["errors"], manifest["repeated_ids"]) == (5, {}, 1)
    lines = (tmp_path / "out" / "one.tar.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["image_id"] for line in lines[:-1]] == [*names, "391895"]
    captions = read_results(str(tmp_path / "out"))
    assert captions == {
        391895: json.loads(lines[0])["captions"][0]["words"],
        7: json.loads(lines[3])["captions"][0]["words"],
    }


def test_checksums_of_the_inputs_stand_in_the_manifest(folder, inputs):
    files = json.loads((folder / "captions_manifest.json").read_text())["files"]
    contents = [Path(path).read_bytes() for path in inputs]
    assert [(file["input_bytes"], file["input_crc32c"]) for file in files] == [
        (len(content), f"{google_crc32c.value(content):08x}") for content in contents
    ]


def test_a_folder_of_something_else_is_refused(inputs, model, tmp_path):
    (tmp_path / "thesis.tex").write_text("draft")
    with pytest.raises(RuntimeError, match=r"is not empty: it holds 'thesis\.tex'"):
        caption_files(inputs, str(tmp_path), "jsonl", model, LocalEngine(1))


def test_two_inputs_of_one_name_are_refused(inputs, model, tmp_path):
    (tmp_path / "other").mkdir()
    double = shutil.copy(inputs[0], tmp_path / "other")
    with pytest.raises(ValueError, match="Two inputs would be written to"):
        caption_files([inputs[0], str(double)], str(tmp_path / "out"), "jsonl", model, LocalEngine(1))


def test_tfrecords_hold_the_rows_of_the_json_lines(folder, inputs, model, tmp_path):
    caption_files(inputs, str(tmp_path / "out"), "tfrecord", model, LocalEngine(1))
    for path in inputs:
        expected = rows(folder / f"{os.path.basename(path)}.jsonl")
        dataset = tf.data.TFRecordDataset(str(tmp_path / "out" / f"{os.path.basename(path)}.tfrecord"))
        for row, record in zip(expected, dataset.as_numpy_iterator(), strict=True):
            features = tf.train.Example.FromString(record).features.feature
            assert list(features["image/image_id"].int64_list.value) == [row["image_id"]]
            if "error" in row:
                assert features["image/error"].bytes_list.value[0].decode() == row["error"]
                continue
            found = [value.decode() for value in features["image/captions"].bytes_list.value]
            assert found == [caption["caption"] for caption in row["captions"]]
            assert list(features["image/log_probs"].float_list.value) == pytest.approx(
                [caption["log_prob"] for caption in row["captions"]]
            )
