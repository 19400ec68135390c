"""Ctrl-C and SIGTERM as a request to stop, so that what runs can save first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether SIGINT or SIGTERM has come; a second signal ends the process as usual."""
    received: list[int] = []

    def request_stop(number: int, frame: object) -> None:
        del frame
        received.append(number)
        for handled, handler in previous.items():
            signal.signal(handled, handler)
        print("Stopping after the current steps; once more to stop at once.", flush=True)

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, request_stop)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def kept_signals() -> Iterator[None]:
    """Keeps SIGINT and SIGTERM as Python handles them while other code takes them for itself.

    In a process without other threads, one that comes meanwhile waits until the end; a thread that is already there may
    take it at once. Threads that are started within never get any.
    """
    numbers = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.getsignal(number))  # Tells the operating system again.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
