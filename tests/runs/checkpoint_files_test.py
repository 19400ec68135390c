"""Checkpoints that are cut short, garbled, foreign, half written, or on a disk that is full."""

import os
import subprocess
import uuid

import pytest
import tensorflow as tf

from im2txt.runs import checkpoint_files

DATA = ".data-00000-of-00001"


def variables(value=3.0, **shapes):
    shapes = shapes or {"decoder__kernel": [20, 30]}
    return {name.replace("__", "/"): tf.Variable(tf.fill(shape, value)) for name, shape in shapes.items()}


def save(folder, *steps, keep=3):
    for step in steps:
        checkpoint_files.save_numbered(str(folder), step, keep, variables(float(step)))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def garble(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xFF]))


DAMAGES = [(harm, end) for end in (".index", DATA) for harm in (cut, empty, garble, os.remove)]


@pytest.mark.parametrize(("harm", "end"), DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_newest_whole_one_and_named(tmp_path, capsys, harm, end):
    save(tmp_path, 5, 9, 20)
    harm(tmp_path / f"ckpt-20{end}")
    paths = checkpoint_files.list_checkpoints(str(tmp_path))
    assert paths == [f"{tmp_path}/ckpt-{step}" for step in (20, 9, 5)]
    assert checkpoint_files.first_whole(paths) == f"{tmp_path}/ckpt-9"
    skipped, instead = capsys.readouterr().err.splitlines()
    assert skipped.startswith(f"Skipped a damaged checkpoint: {tmp_path}/ckpt-20: ")
    assert instead == f"Going on from {tmp_path}/ckpt-9 instead."


def test_where_all_are_damaged_none_is_taken(tmp_path):
    save(tmp_path, 5, 9)
    cut(tmp_path / f"ckpt-5{DATA}")
    cut(tmp_path / "ckpt-9.index")
    told = (
        r"None of the 2 checkpoint\(s\) is whole: .*ckpt-9: .*; .*ckpt-5: .*\. Restore one from a copy, or remove them"
    )
    with pytest.raises(RuntimeError, match=told):
        checkpoint_files.first_whole(checkpoint_files.list_checkpoints(str(tmp_path)))


def test_only_a_folder_without_checkpoints_has_none(tmp_path):
    assert checkpoint_files.list_checkpoints(str(tmp_path / "none")) == []
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-5"\n')
    assert checkpoint_files.first_whole(checkpoint_files.list_checkpoints(str(tmp_path))) is None


@pytest.mark.parametrize("harm", [os.remove, empty, garble])
def test_tensorflow_s_own_note_of_the_latest_does_not_matter(tmp_path, harm):
    save(tmp_path, 5, 9)
    assert tf.train.latest_checkpoint(str(tmp_path)) == f"{tmp_path}/ckpt-9"  # Others' tools find it there.
    harm(tmp_path / "checkpoint")
    assert checkpoint_files.first_whole(checkpoint_files.list_checkpoints(str(tmp_path))) == f"{tmp_path}/ckpt-9"


def test_the_newest_are_kept_in_order_of_their_steps(tmp_path):
    save(tmp_path, 8, 9, 10, 100, keep=2)
    assert checkpoint_files.list_checkpoints(str(tmp_path)) == [f"{tmp_path}/ckpt-{step}" for step in (100, 10)]
    assert sorted(content(tmp_path)) == sorted(
        ["checkpoint", *(f"ckpt-{step}{end}" for step in (10, 100) for end in (".index", DATA))]
    )


def test_a_damaged_one_of_a_later_step_costs_no_whole_one_its_place(tmp_path):
    save(tmp_path, 8, 20)
    cut(tmp_path / "ckpt-20.index")
    save(tmp_path, 9, 10, keep=2)
    left = [checkpoint_files.step_of(path) for path in checkpoint_files.list_checkpoints(str(tmp_path))]
    assert left == [20, 10, 9]
    save(tmp_path, 20, keep=2)
    assert checkpoint_files.damage(str(tmp_path / "ckpt-20")) == ""


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path):
    for name in ("ckpt-7_temp", ".tmp-ckpt-9_temp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part-00000-of-00001.index").write_bytes(b"half")
    (tmp_path / f".tmp-ckpt-9{DATA}").write_bytes(b"half")
    (tmp_path / "notes_temp").mkdir()  # Not TensorFlow's.
    save(tmp_path, 9)
    assert sorted(os.listdir(tmp_path)) == sorted(["checkpoint", "ckpt-9.index", f"ckpt-9{DATA}", "notes_temp"])


@pytest.mark.parametrize("renamed_before", [0, 1])
def test_a_process_killed_while_it_saves_leaves_the_one_before(tmp_path, monkeypatch, renamed_before):
    class KilledError(BaseException):
        pass

    rename, calls = tf.io.gfile.rename, []

    def killed(*args, **kwargs):
        if len(calls) == renamed_before:
            raise KilledError
        calls.append(args)
        rename(*args, **kwargs)

    save(tmp_path, 5)
    monkeypatch.setattr(tf.io.gfile, "rename", killed)
    with pytest.raises(KilledError):
        save(tmp_path, 9)
    assert checkpoint_files.first_whole(checkpoint_files.list_checkpoints(str(tmp_path))) == f"{tmp_path}/ckpt-5"


def test_a_save_that_fails_leaves_everything_as_it_was(tmp_path, monkeypatch):
    save(tmp_path, 5)
    before = content(tmp_path)

    def full(self, path):
        os.mkdir(f"{path}_temp")
        with open(f"{path}_temp/part-00000-of-00001{DATA}", "wb") as file:
            file.write(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device\nmore")

    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    for step in (5, 9):  # Over itself, too.
        with pytest.raises(
            RuntimeError, match=rf"ckpt-{step} could not be written: .*No space left on device The check"
        ):
            save(tmp_path, step)
        assert content(tmp_path) == before
        assert not [name for name in os.listdir(tmp_path) if "temp" in name or ".tmp" in name]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_costs_only_the_new_checkpoint(small_disk):
    folder = small_disk / "checkpoints"
    checkpoint_files.save_numbered(str(folder), 1, 3, variables(kernel=[1000]))
    before = content(folder)
    with pytest.raises(RuntimeError, match="ckpt-2 could not be written: .*No space left on device"):
        checkpoint_files.save_numbered(str(folder), 2, 3, variables(kernel=[30_000]))
    assert content(folder) == before
    assert sorted(os.listdir(folder)) == sorted(before)
    checkpoint_files.save_numbered(str(folder), 2, 3, variables(kernel=[1000]))  # There is room again.


def test_a_foreign_checkpoint_is_refused_with_each_variable_and_both_shapes(tmp_path):
    path = str(tmp_path / "ckpt-1")
    checkpoint_files.write_checkpoint(path, variables(decoder__kernel=[2, 3], decoder__bias=[3], old=[1]))
    here = variables(decoder__kernel=[2, 4], decoder__bias=[3], new=[5])
    before = {name: v.numpy().copy() for name, v in here.items()}
    with pytest.raises(ValueError, match="does not fit this model") as told:
        checkpoint_files.read_checkpoint(path, here, complete=True)
    assert (
        f"Checkpoint {path} does not fit this model: decoder/kernel is float32 [2, 3] there, float32 [2, 4] here; "
        "new float32 [5] is not there; old float32 [1] is only there. "
    ) in str(told.value)
    assert all((v.numpy() == before[name]).all() for name, v in here.items())
    checkpoint_files.write_checkpoint(path, {"step": tf.Variable(1.0)})
    with pytest.raises(ValueError, match=r"step is float32 \[\] there, int64 \[\] here"):
        checkpoint_files.read_checkpoint(path, {"step": tf.Variable(1, dtype=tf.int64)}, complete=True)


def test_what_older_checkpoints_lack_keeps_its_value_if_it_may(tmp_path):
    path = str(tmp_path / "ckpt-1")
    checkpoint_files.write_checkpoint(path, variables(kernel=[2]))
    here = variables(7.0, kernel=[2], progress__secs=[])
    with pytest.raises(ValueError, match=r"progress/secs float32 \[\] is not there"):
        checkpoint_files.read_checkpoint(path, here, complete=True)
    checkpoint_files.read_checkpoint(path, here, complete=True, optional="progress/")
    assert here["kernel"].numpy().tolist() == [3.0, 3.0]
    assert float(here["progress/secs"]) == 7.0


def test_a_remote_folder_works_like_a_local_one(capsys):
    folder = f"ram://{uuid.uuid4()}/run/checkpoints"
    save(folder, 5, 9, 20, keep=2)
    paths = checkpoint_files.list_checkpoints(folder)
    assert paths == [f"{folder}/ckpt-20", f"{folder}/ckpt-9"]
    with tf.io.gfile.GFile(f"{folder}/ckpt-20.index", "wb") as file:
        file.write(b"garbled")
    assert checkpoint_files.first_whole(paths) == f"{folder}/ckpt-9"
    assert "Skipped a damaged checkpoint" in capsys.readouterr().err
    here = variables(0.0)
    checkpoint_files.read_checkpoint(f"{folder}/ckpt-9", here, complete=True)
    assert float(here["decoder/kernel"][0, 0]) == 9.0
