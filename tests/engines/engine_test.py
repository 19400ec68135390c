"""The loop that all engines share."""

import concurrent.futures
import threading
from concurrent.futures import Future

import pytest

from im2txt.engines.engine import run_bounded


def done(report):
    future = Future()
    future.set_result(report)
    return future


def test_the_limit_is_asked_again_for_every_job():
    """A cluster that shrinks from four places to one: the loop waits until there is room again."""
    limits = iter([4, 4, 4] + [1] * 100)
    in_flight, most, lock = 0, [], threading.Lock()
    release = threading.Event()

    def work(job):
        nonlocal in_flight
        release.wait()
        with lock:
            in_flight -= 1
        return job

    with concurrent.futures.ThreadPoolExecutor(8) as pool:

        def submit(job):
            nonlocal in_flight
            with lock:
                in_flight += 1
            most.append(in_flight)
            if job == 3:
                release.set()
            return pool.submit(work, job)

        reports = list(run_bounded(submit, range(12), lambda: next(limits)))
    assert sorted(reports) == list(range(12))
    assert most[:4] == [1, 2, 3, 4]
    assert most[4:] == [1] * 8


def test_no_job_is_made_before_there_is_room():
    made = []
    reports = run_bounded(done, (made.append(job) or job for job in range(100)), lambda: 3)
    next(reports)
    assert len(made) == 3


def test_an_error_of_a_job_is_raised():
    def submit(job):
        future = Future()
        future.set_exception(OSError("No space left."))
        return future

    with pytest.raises(OSError, match="No space left"):
        list(run_bounded(submit, [1], lambda: 2))
