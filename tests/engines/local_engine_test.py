import os
import signal
import subprocess
import sys

import pytest

from im2txt.engines.local_engine import LocalEngine

ADVICE = "Plant another tree."


def square(job: int) -> tuple[int, int]:
    return job * job, os.getpid()


def held_signals(job: int) -> set[signal.Signals]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def fail_at_seven(job: int) -> int:
    if job == 7:
        raise OSError(28, "No space left on device")
    return job


def die_at_seven(job: int) -> int:
    if job == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_reported_once(workers):
    reports = list(LocalEngine(workers).run(square, range(40), ADVICE))
    assert sorted(result for result, _ in reports) == [i * i for i in range(40)]
    assert (os.getpid() in {pid for _, pid in reports}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_are_made_only_when_there_is_room(workers):
    made = []
    reports = LocalEngine(workers).run(square, (made.append(i) or i for i in range(1000)), ADVICE)
    next(reports)
    assert len(made) <= 2 * workers
    reports.close()


def test_workers_leave_ctrl_c_to_their_parent_from_their_first_moment():
    assert all(signal.SIGINT in held for held in LocalEngine(2).run(held_signals, range(4), ADVICE))
    assert signal.SIGINT not in held_signals(0)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_job_arrives_as_it_is(workers):
    with pytest.raises(OSError, match="No space left on device"):
        list(LocalEngine(workers).run(fail_at_seven, range(100), ADVICE))


def test_a_killed_worker_is_an_error_that_ends_with_the_caller_s_advice():
    with pytest.raises(RuntimeError, match=r"^A worker process was killed.* need less\. Plant another tree\.$"):
        list(LocalEngine(2).run(die_at_seven, range(100), ADVICE))


def test_nothing_is_left_running_when_the_caller_stops():
    reports = LocalEngine(2).run(square, range(1000), ADVICE)
    _, pid = next(reports)
    os.kill(pid, 0)
    reports.close()
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.kill(pid, 0)


def test_workers_end_when_their_parent_is_killed():
    code = (
        "from im2txt.engines.local_engine import LocalEngine\n"
        "from tests.engines.local_engine_test import square\n"
        "reports = LocalEngine(2).run(square, iter(range(10**9)), '')\n"
        "print(next(reports)[1], flush=True)\n"
        "for _ in reports: pass\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip().isdecimal()
    parent.kill()
    # The workers hold the pipe's other end as well: it ends when the last of them has.
    assert parent.stdout.read() == ""
    parent.wait()


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="--num_workers=0 must be at least 1"):
        LocalEngine(0)
