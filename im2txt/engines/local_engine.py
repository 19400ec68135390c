"""Runs independent jobs in processes of this machine."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool

from im2txt.engines.engine import Job, Report, run_bounded


class LocalEngine:
    """Worker processes on this machine; with one worker the jobs run in this process."""

    def __init__(self, num_workers: int):
        """Takes the number of worker processes; ValueError if it is below 1."""
        if num_workers < 1:
            raise ValueError(f"--num_workers={num_workers} must be at least 1.")
        self._num_workers = num_workers

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job], advice: str) -> Generator[Report, None, None]:
        """See `Engine.run`."""
        if self._num_workers == 1:
            yield from map(function, jobs)
            return
        others = set(multiprocessing.active_children())
        # Spawned, not forked: a fork of a process with threads (TensorFlow, tqdm) may hang.
        executor = concurrent.futures.ProcessPoolExecutor(
            self._num_workers, multiprocessing.get_context("spawn"), initializer=_follow_parent
        )

        def submit(job: Job) -> concurrent.futures.Future[Report]:
            with _interrupts_held():
                return executor.submit(function, job)

        try:
            yield from run_bounded(submit, jobs, limit=lambda: 2 * self._num_workers)
        except BrokenProcessPool as error:
            raise RuntimeError(
                f"A worker process was killed, perhaps for lack of memory: fewer --num_workers need less. {advice}"
            ) from error
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
                child.join()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Holds Ctrl-C back while workers start: they inherit that for life, and leave Ctrl-C to their parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_parent() -> None:
    """Makes a worker end when its parent does, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
