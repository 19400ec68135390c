"""Which errors get one line, and which keep their traceback."""

import errno
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from im2txt.configuration import ExperimentConfig
from im2txt.engines.local_engine import LocalEngine
from im2txt.images.image_files import PhotographOptions, to_jpeg
from im2txt.system.error_lines import error_line


def error_of(code, package="im2txt.training.some_module", **names):
    """The error of a piece of code that runs as if it stood in a module of `package`."""
    try:
        exec(code, {"__name__": package} | names)
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize("package", ["im2txt.train", "data_prep.sources.coco", "configs.mine", "__main__"])
@pytest.mark.parametrize("kind", ["ValueError", "RuntimeError", "FileNotFoundError"])
def test_what_our_code_raises_is_one_line(package, kind):
    assert error_line(error_of(f"raise {kind}('A bad value.')", package)) == "A bad value."
    rephrased = f"try:\n  int('x')\nexcept ValueError as error:\n  raise {kind}('No number.') from error"
    assert error_line(error_of(rephrased, package)) == "No number."


@pytest.mark.parametrize(
    "code",
    [
        "int('x')",  # In our own frame, but not raised by it.
        "a, b = [1]",
        "np.zeros(3) + np.zeros(4)",
        "np.zeros(3).reshape(2)",
        "tf.zeros([2]) @ tf.zeros([3])",
        "tf.zeros([2]) + tf.zeros([3])",
        "tf.Variable([1.0]).assign([1.0, 2.0])",
        "json.loads('{')",
        "{}['forgotten']",
        "None.forgotten",
        "raise KeyError('forgotten')",
        "assert False",
    ],
)
def test_what_others_raise_and_our_bugs_keep_their_traceback(code):
    assert error_line(error_of(code, np=np, tf=tf, json=json)) is None


def test_a_value_error_of_another_package_keeps_its_traceback():
    assert error_line(error_of("raise ValueError('Not ours.')", "numpy.linalg")) is None
    assert error_line(ValueError("never raised")) is None


def test_what_the_operating_system_says_of_a_file_is_one_line(tmp_path):
    told = error_line(error_of("open(path)", path=str(tmp_path / "none")))
    assert told == f"[Errno 2] No such file or directory: '{tmp_path}/none'"
    assert error_line(error_of("os.listdir(path)", os=os, path=__file__)) == f"[Errno 20] Not a directory: '{__file__}'"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_what_to_do(number):
    told = error_line(OSError(number, os.strerror(number), "/tmp/shard"))
    assert (
        told
        == f"[Errno {number}] {os.strerror(number)}: '/tmp/shard'. Free some space, then give the same command again."
    )


def test_out_of_memory_is_told_with_what_to_do():
    advice = "Use a smaller batch size, or fewer workers."
    assert error_line(MemoryError()) == f"Out of memory: no more to be had. {advice}"
    told = error_line(error_of("np.zeros(1 << 50)", np=np))
    assert told.startswith("Out of memory: Unable to allocate 8.00 PiB for an array")
    assert told.endswith(advice)
    exhausted = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9,9]\nmore")
    assert error_line(exhausted) == f"Out of memory: OOM when allocating tensor with shape[9,9]. {advice}"


def read_no_photograph(job):
    return to_jpeg(b"no photograph", PhotographOptions(resize_shorter_side=job))


def test_what_our_code_raises_in_a_worker_process_is_one_line_and_a_bug_there_is_not():
    def error_in_worker(function, job):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - its line is what is tested
            list(LocalEngine(2).run(function, [job], ""))
        return error_line(caught.value)

    assert error_in_worker(read_no_photograph, 0) == "--resize_shorter_side=0 must be at least 1 pixel."
    assert error_in_worker(int, "x") is None
    assert error_in_worker(ExperimentConfig.from_json, "x").startswith("config.json is not a configuration")
