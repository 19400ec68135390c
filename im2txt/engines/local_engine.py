"""Runs independent jobs, here in processes of this machine. An engine knows nothing of what a job does."""

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
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Report = TypeVar("Report")


class Engine(Protocol):
    """A way to run many independent jobs."""

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job]) -> Generator[Report, None, None]:
        """Yields the report of every job, in any order.

        Args:
            function: importable by name, for it is called in other processes.
            jobs: made one at a time, when there is room for another; a job and its report can be pickled.

        Raises:
            RuntimeError: if a worker died. Exceptions of `function` arrive as they are. Nothing is left running.
        """


class LocalEngine:
    """Worker processes on this machine; with one worker the jobs run in this process."""

    def __init__(self, num_workers: int):
        """Takes the number of worker processes, at least 1."""
        if num_workers < 1:
            raise ValueError(f"--num_workers={num_workers} must be at least 1.")
        self._num_workers = num_workers

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job]) -> Generator[Report, None, None]:
        """See `Engine.run`."""
        if self._num_workers == 1:
            yield from map(function, jobs)
            return
        others = set(multiprocessing.active_children())
        # Spawned, not forked: a fork of a process with threads (TensorFlow, tqdm) may hang.
        executor = concurrent.futures.ProcessPoolExecutor(
            self._num_workers, multiprocessing.get_context("spawn"), initializer=_follow_parent
        )
        try:
            yield from _run_bounded(executor, function, jobs, limit=2 * self._num_workers)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "A worker process was killed, perhaps for lack of memory. Run the same command again: finished shards "
                "are kept. Fewer --num_workers need less memory."
            ) from error
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
                child.join()


def _run_bounded(
    executor: concurrent.futures.Executor, function: Callable[[Job], Report], jobs: Iterable[Job], limit: int
) -> Generator[Report, None, None]:
    """Keeps at most `limit` jobs in flight, so that memory does not grow with their number."""
    pending: set[concurrent.futures.Future[Report]] = set()
    for job in jobs:
        with _interrupts_held():
            pending.add(executor.submit(function, job))
        if len(pending) >= limit:
            done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            yield from (future.result() for future in done)
    yield from (future.result() for future in concurrent.futures.as_completed(pending))


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
