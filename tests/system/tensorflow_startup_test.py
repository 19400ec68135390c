"""What TensorFlow writes while it starts, with a stand-in that writes as much. `commands_test` sees the real one."""

import os
import subprocess
import sys

import pytest

NOISE = "E0000 cuda_platform.cc:52] failed call to cuInit"
STAND_IN = """
import os, sys, types, warnings
os.write(2, b"{noise}\\n")
{then}
config = types.SimpleNamespace(list_physical_devices=lambda: os.write(2, b"{noise}\\n"))
"""
PROGRAM = """
import os, sys
from im2txt.system.tensorflow_startup import start_tensorflow
start_tensorflow()
print("started", "tensorflow" in sys.modules, os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
print("later", file=sys.stderr)
os.write(2, b"later still\\n")
"""


@pytest.fixture
def start(tmp_path):
    def run(then="", **variables):
        (tmp_path / "tensorflow.py").write_text(STAND_IN.format(noise=NOISE, then=then))
        hidden = ("TF_CPP_MIN_LOG_LEVEL", "IM2TXT_TENSORFLOW_LOG", "PYTHONFAULTHANDLER")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment | variables, capture_output=True, text=True, check=False
        )

    return run


def test_what_tensorflow_writes_is_kept_off_and_all_else_shown(start):
    done = start()
    assert (done.stdout, done.stderr) == ("started True 3\n", "later\nlater still\n")


def test_it_is_shown_to_whoever_asks(start):
    done = start(IM2TXT_TENSORFLOW_LOG="1")
    assert done.stdout == "started False None\n"
    assert start(TF_CPP_MIN_LOG_LEVEL="0").stdout == "started True 0\n"


def test_it_is_shown_if_the_import_fails(start):
    done = start("raise ImportError('libcudart.so: no such file')")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{NOISE}\nTraceback")
    assert done.stderr.endswith("ImportError: libcudart.so: no such file\n")


def test_a_crash_of_the_import_says_where(start):
    done = start("os.abort()")
    assert done.returncode == -6
    assert "Fatal Python error: Aborted" in done.stderr
    assert "tensorflow_startup.py" in done.stderr
