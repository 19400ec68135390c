"""Checkpoints as files: written whole or not at all, told apart from damaged ones, compared with the model.

    FOLDER/ckpt-STEP.index, ckpt-STEP.data-00000-of-00001    one checkpoint of a run
    FOLDER/checkpoint                                        TensorFlow's note of the latest; written for others' tools

What lies in a folder is found by listing it, so that a note that is lost or garbled matters to nobody. All goes through
`tf.io.gfile`: a folder may be local or on whatever store TensorFlow knows.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from im2txt.system.storage import TEMPORARY_PREFIX

_FILE = re.compile(r"(ckpt-(\d+))\.(?:index|data-\d+-of-\d+)")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_OURS = ("_CHECKPOINTABLE_OBJECT_GRAPH", f"save_counter{_VALUE}")
_DAMAGE = (tf.errors.OpError, IndexError, ValueError, RuntimeError)
"""What TensorFlow raises on files that are missing, cut short or changed; IndexError stands for a short read."""


def write_checkpoint(path: str, variables: Mapping[str, tf.Variable]) -> None:
    """Writes named variables to `path.index` and `path.data-*`, under temporary names until they are whole.

    Raises:
        RuntimeError: if they cannot be written, as on a full disk; what stood at `path` is still there then.
    """
    directory, name = os.path.split(path)
    temporary = f"{TEMPORARY_PREFIX}{name}"
    with _written_whole(path):
        tf.io.gfile.makedirs(directory)
        remove_leftovers(directory)
        tf.train.Checkpoint(**_tree(variables)).write(os.path.join(directory, temporary))
        if tf.io.gfile.exists(f"{path}.index"):
            tf.io.gfile.remove(f"{path}.index")  # Never an index beside another one's data.
        written = [file for file in _list(directory) if file.startswith(f"{temporary}.")]
        for file in sorted(written):  # The data first, then the index, which makes them a checkpoint.
            tf.io.gfile.rename(os.path.join(directory, file), f"{path}{file.removeprefix(temporary)}", overwrite=True)


@contextlib.contextmanager
def _written_whole(path: str) -> Iterator[None]:
    """Leaves no half of a checkpoint behind, and says in one line why it could not be written."""
    try:
        yield
    except tf.errors.OpError as error:
        with contextlib.suppress(tf.errors.OpError):
            remove_leftovers(os.path.dirname(path))
        raise RuntimeError(
            f"{path} could not be written: {_first_line(error)} The checkpoints before it are as they were. Mend this "
            "(is the disk full?) and give the same command again."
        ) from error


def read_checkpoint(path: str, variables: Mapping[str, tf.Variable], complete: bool, optional: str = "none/") -> None:
    """Reads named variables from a checkpoint.

    Args:
        path: as given to `write_checkpoint`.
        variables: what is to be read, by name.
        complete: whether the checkpoint may hold nothing else.
        optional: start of the names of variables that older checkpoints lack; those keep their values.

    Raises:
        ValueError: if the checkpoint is damaged, or names, shapes or types are not those of the variables: the message
            has each name with both shapes.
    """
    reason = damage(path)
    if reason:
        raise ValueError(f"{path} is damaged: {reason}. Restore it from a copy.")
    reader = tf.compat.v1.train.NewCheckpointReader(path)
    types = reader.get_variable_to_dtype_map()
    there = {
        name.removesuffix(_VALUE): f"{types[name].name} {shape}"
        for name, shape in reader.get_variable_to_shape_map().items()
        if name not in _NOT_OURS
    }
    wanted = {name: v for name, v in variables.items() if name in there or not name.startswith(optional)}
    here = {name: f"{v.dtype.name} {v.shape.as_list()}" for name, v in wanted.items()}
    faults = [
        f"{name} is {there[name]} there, {here[name]} here"
        for name in here
        if there.get(name, here[name]) != here[name]
    ]
    faults += [f"{name} {here[name]} is not there" for name in here if name not in there]
    if complete:
        faults += [f"{name} {there[name]} is only there" for name in sorted(there) if name not in here]
    if faults:
        more = f"; and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise ValueError(
            f"Checkpoint {path} does not fit this model: {'; '.join(faults[:4])}{more}. A run's config.json, "
            "word_counts.txt and checkpoints belong together; use a new workdir for another model."
        )
    tf.train.Checkpoint(**_tree(wanted)).read(path).assert_existing_objects_matched().expect_partial()


def names_in(path: str) -> set[str]:
    """Returns the names of a checkpoint's variables; none if it cannot be read, which `read_checkpoint` then tells."""
    try:
        there = tf.compat.v1.train.NewCheckpointReader(path).get_variable_to_shape_map()
    except _DAMAGE:
        return set()
    return {name.removesuffix(_VALUE) for name in there}


def damage(path: str) -> str:
    """Returns why a checkpoint cannot be read, or an empty string; every value is read and its checksum compared."""
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except _DAMAGE as error:
        return _first_line(error).rstrip(".")
    return ""


def save_numbered(directory: str, step: int, keep: int, variables: Mapping[str, tf.Variable]) -> None:
    """Writes `ckpt-STEP` into a folder and removes all but the newest `keep` of those up to this step.

    Raises:
        RuntimeError: as `write_checkpoint`.
    """
    path = os.path.join(directory, f"ckpt-{step}")
    write_checkpoint(path, variables)
    paths = [path for path in list_checkpoints(directory) if step_of(path) <= step]
    for old in paths[keep:]:
        _remove(old)
    with _written_whole(path):
        _write_note(directory, path, paths[keep - 1 :: -1])


def _write_note(directory: str, latest: str, paths: Sequence[str]) -> None:
    """Writes the file by which `tf.train.latest_checkpoint` and others' tools find a folder's checkpoints."""
    lines = [f'model_checkpoint_path: "{os.path.basename(latest)}"']
    lines += [f'all_model_checkpoint_paths: "{os.path.basename(path)}"' for path in paths]
    temporary = os.path.join(directory, f"{TEMPORARY_PREFIX}checkpoint")
    with tf.io.gfile.GFile(temporary, "w") as file:
        file.write("".join(f"{line}\n" for line in lines))
    tf.io.gfile.rename(temporary, os.path.join(directory, "checkpoint"), overwrite=True)


def list_checkpoints(directory: str) -> list[str]:
    """Returns the paths of a folder's checkpoints, newest first, whole or not; none if there is no such folder."""
    matches = [match for match in map(_FILE.fullmatch, _list(directory)) if match]
    steps = sorted({int(match[2]) for match in matches}, reverse=True)
    return [os.path.join(directory, f"ckpt-{step}") for step in steps]


def step_of(path: str) -> int:
    """Returns the number of updates behind a checkpoint of a run, by its name."""
    return int(path.rpartition("-")[2])


def first_whole(paths: Sequence[str]) -> str | None:
    """Returns the first of the checkpoints that is whole, and says on standard error which ones it passed over and why.

    Raises:
        RuntimeError: if there are some and none is whole. Where there are none, the answer is None.
    """
    passed_over: list[str] = []
    for path in paths:
        reason = damage(path)
        if not reason:
            if passed_over:
                print(f"Going on from {path} instead.", file=sys.stderr, flush=True)
            return path
        passed_over.append(f"{path}: {reason}")
        print(f"Skipped a damaged checkpoint: {passed_over[-1]}.", file=sys.stderr, flush=True)
    if passed_over:
        raise RuntimeError(
            f"None of the {len(passed_over)} checkpoint(s) is whole: {'; '.join(passed_over)}. Restore one from a "
            "copy, or remove them to start anew."
        )
    return None


def remove_leftovers(directory: str) -> None:
    """Removes what processes that were killed while they wrote have left in a folder of checkpoints."""
    for name in _list(directory):
        if name.startswith(TEMPORARY_PREFIX) or re.fullmatch(r"ckpt-\d+_temp", name):
            path = os.path.join(directory, name)
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


def _remove(path: str) -> None:
    directory, name = os.path.split(path)
    files = [match[0] for match in map(_FILE.fullmatch, _list(directory)) if match and match[1] == name]
    for file in sorted(files, reverse=True):  # The index first: without it there is no checkpoint.
        tf.io.gfile.remove(os.path.join(directory, file))


def _list(directory: str) -> list[str]:
    try:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(directory)]
    except tf.errors.NotFoundError:
        return []


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _tree(variables: Mapping[str, tf.Variable]) -> dict[str, Any]:
    """Nests `a/b/c` as dicts, which TensorFlow saves under just these names."""
    tree: dict[str, Any] = {}
    for name, variable in variables.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = variable
    return tree
