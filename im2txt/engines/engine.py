"""What runs many independent jobs, and the loop that all engines share. An engine knows nothing of what a job does."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Report = TypeVar("Report")


class Engine(Protocol):
    """A way to run many independent jobs."""

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job], advice: str) -> Generator[Report, None, None]:
        """Yields the report of every job, in any order.

        Args:
            function: importable by name, for it is called in other processes. One that needs TensorFlow imports it
                when it is called, through `tensorflow_startup`.
            jobs: made one at a time, when there is room for another; a job and its report can be pickled.
            advice: what a person should do if the engine fails, in whole sentences; they end the error's message.

        Raises:
            RuntimeError: if the engine failed: a worker died, a cluster cannot be reached. Exceptions of `function`
                arrive as they are. Nothing is left running.
        """


def run_bounded(
    submit: Callable[[Job], Future[Report]], jobs: Iterable[Job], limit: Callable[[], int]
) -> Generator[Report, None, None]:
    """Keeps few jobs in flight, so that memory does not grow with their number; yields reports as they come.

    Args:
        submit: starts a job.
        jobs: taken one at a time.
        limit: the most jobs that may be in flight now, at least 1; asked again for every job.
    """
    pending: set[Future[Report]] = set()
    for job in jobs:
        pending.add(submit(job))
        while len(pending) >= limit():
            done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            yield from (future.result() for future in done)
    yield from (future.result() for future in concurrent.futures.as_completed(pending))
