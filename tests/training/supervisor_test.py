"""Workers started together, restarted together, ended together; they are small programs without TensorFlow."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from im2txt.training.supervisor import INTERRUPTED, supervise

ROOT = Path(__file__).parents[2]
# Every worker knows its index, waits for the other one of the two, and may do something of its own.
HEAD = """
import json, os, pathlib, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])
index, addresses = task["task"]["index"], task["cluster"]["worker"]
folder = pathlib.Path(sys.argv[1])
start = len(list(folder.glob(f"start-{index}-*")))
(folder / f"start-{index}-{start}").write_text(f"{os.getpid()} {addresses}")
while not (folder / f"start-{1 - index}-{start}").exists():
    time.sleep(0.01)
"""
WAIT = "\ntime.sleep(120)"


def command(tmp_path, program):
    return [sys.executable, "-c", HEAD + program, str(tmp_path)]


def starts(tmp_path, index=0):
    return len(list(tmp_path.glob(f"start-{index}-*")))


def run(tmp_path, program, max_restarts=3, stop_deadline_secs=60.0):
    return supervise(command(tmp_path, program), 2, str(tmp_path / "logs"), max_restarts, stop_deadline_secs)


def when(condition, act):
    """Acts once the condition holds, beside what runs; at most a minute later."""

    def watch():
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_each_worker_has_its_index_and_its_log_and_the_first_one_s_is_shown(tmp_path, capsys):
    assert run(tmp_path, "print('I am', index, len(set(addresses)), flush=True)") == 0
    assert capsys.readouterr().out == "I am 0 2\n"
    assert (tmp_path / "logs" / "worker-1.log").read_text() == "I am 1 2\n"


def test_the_death_of_one_starts_all_again_and_says_why(tmp_path, capsys):
    program = (
        "if start < 2 and index == 1:\n    print('so far', flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if start < 2:\n    time.sleep(0.3); sys.exit('lost another')"
    )
    assert run(tmp_path, program) == 0
    told = capsys.readouterr()
    assert (starts(tmp_path, 0), starts(tmp_path, 1)) == (3, 3)
    assert f"Worker 1 was killed by SIGKILL. {tmp_path}/logs/worker-1.log ends:\n    so far\n" in told.err
    assert "Worker 0 ended with status 1." in told.err
    assert "Starting all workers again (1 of 3 times).\n" in told.out
    assert "(3 of 3" not in told.out


def test_the_others_are_killed_where_they_do_not_notice(tmp_path, monkeypatch):
    monkeypatch.setattr("im2txt.training.supervisor._SECS_TO_NOTICE", 0.1)
    with pytest.raises(RuntimeError, match="failed 1 times, and --max_restarts=0"):
        run(tmp_path, "index and os.kill(os.getpid(), signal.SIGKILL)" + WAIT, max_restarts=0)
    assert_gone(tmp_path)


def test_restarts_are_bounded(tmp_path):
    with pytest.raises(RuntimeError, match=r"have failed 3 times, and --max_restarts=2\. The logs are in .*/logs"):
        run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", max_restarts=2)
    assert starts(tmp_path) == 3


def test_what_a_restart_does_not_mend_is_not_tried_again(tmp_path):
    with pytest.raises(RuntimeError, match="ended in the same way twice"):
        run(tmp_path, "sys.exit('error: no such folder')", max_restarts=9)
    assert starts(tmp_path) == 2
    with pytest.raises(RuntimeError, match="A worker's flags are wrong"):
        run(tmp_path, "sys.exit(2)", max_restarts=9)
    assert starts(tmp_path) == 3


SAVING = """
def save(*_):
    (folder / f"saved-{index}").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
(folder / f"ready-{index}").touch()
time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_all_save(tmp_path, number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    ready = when(lambda: len(list(tmp_path.glob("ready-*"))) == 2, lambda: os.kill(os.getpid(), number))
    assert run(tmp_path, SAVING) == INTERRUPTED
    ready.join()
    signal.signal(signal.SIGINT, before)
    assert len(list(tmp_path.glob("saved-*"))) == 2
    assert starts(tmp_path) == 1


def test_workers_that_do_not_end_after_a_signal_are_killed(tmp_path, capsys):
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); (folder / f'ready-{index}').touch()" + WAIT
    ready = when(lambda: len(list(tmp_path.glob("ready-*"))) == 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(RuntimeError, match="Not all workers have saved"):
        run(tmp_path, stubborn, stop_deadline_secs=0.2)
    ready.join()
    assert "Worker(s) 0, 1 did not end in time" in capsys.readouterr().err
    assert_gone(tmp_path)


def test_workers_that_stop_by_themselves_are_not_started_again(tmp_path):
    assert run(tmp_path, "sys.exit(130)") == INTERRUPTED
    assert starts(tmp_path) == 1


def assert_gone(tmp_path):
    """No worker is left; one that is dead and not yet fetched by its new parent counts as gone."""
    end = time.monotonic() + 60
    for path in tmp_path.glob("start-*"):
        status = Path("/proc", path.read_text().split()[0], "stat")
        while status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "ZX":
            assert time.monotonic() < end, f"{path.name} still runs"
            time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_nothing_outlives_a_launcher_that_is_killed(tmp_path):
    launcher = subprocess.Popen(
        [sys.executable, "-m", "im2txt.launch", f"--log_dir={tmp_path}/logs", "--", *command(tmp_path, WAIT)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    when(lambda: starts(tmp_path) and starts(tmp_path, 1), launcher.kill).join()
    assert launcher.wait(60) == -signal.SIGKILL
    assert_gone(tmp_path)


def test_commands_for_several_machines_are_printed_and_nothing_is_started(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "im2txt.launch", "--print", "--hosts=a:22,b:23", "--", "train", "--x=a b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [lines[0], lines[2]] == ["# worker 0, at a:22", "# worker 1, at b:23"]
    for index, line in enumerate(lines[1::2]):
        echoed = subprocess.run(
            ["sh", "-c", f'train() {{ printf \'%s\\n\' "$TF_CONFIG" "$@"; }}; {line}'],
            capture_output=True,
            text=True,
            check=True,
        )
        tf_config, argument = echoed.stdout.splitlines()
        expected = {"cluster": {"worker": ["a:22", "b:23"]}, "task": {"type": "worker", "index": index}}
        assert json.loads(tf_config) == expected
        assert argument == "--x=a b"
