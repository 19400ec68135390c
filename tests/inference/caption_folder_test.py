"""Folders of captions: the same bytes however they came about, nothing lost, nothing of another model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tensorflow as tf
from fake_runs import random_run, write_run
from fakes import jpeg, write_dataset

from im2txt.engines.local_engine import LocalEngine
from im2txt.inference import caption_folder, shard_captions
from im2txt.inference.caption_folder import caption_files
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.shard_captions import Model

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


def test_two_workers_write_the_same_bytes(folder, inputs, model, tmp_path):
    caption_files(inputs, str(tmp_path / "out"), "jsonl", model, LocalEngine(2))
    assert content_of(tmp_path / "out") == content_of(folder)


def test_a_killed_command_goes_on_to_the_same_bytes(folder, inputs, model, tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, sys
        from im2txt.engines.local_engine import LocalEngine
        from im2txt.inference import caption_folder
        from im2txt.inference.shard_captions import Model, caption_shard

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


@pytest.mark.parametrize("change", ["inputs", "decoding", "weights"])
def test_a_folder_of_other_captions_is_refused(folder, inputs, model, workdir, tmp_path, change):
    output = tmp_path / "out"
    shutil.copytree(folder, output)
    if change == "inputs":
        inputs = inputs[:2]
    elif change == "decoding":
        model = Model(model.workdirs, (("beam_size", 1),), 3, 1)
    else:
        model = Model((write_run(tmp_path / "run", random_run(seed=9)),), model.decoding, 3, 1)
    with pytest.raises(RuntimeError, match="holds captions of another model, of other inputs or with other options"):
        caption_files(inputs, str(output), "jsonl", model, LocalEngine(1))
    assert content_of(output) == content_of(folder)


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
