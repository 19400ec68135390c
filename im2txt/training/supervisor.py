"""The workers of one run as processes of this machine: started together, restarted together, ended together.

A run cannot go on without one of its workers, and goes on from its latest checkpoint when all are started again. So the
death of one is the death of all, and all are started anew, on other ports. Nothing of TensorFlow is needed here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from im2txt.system.stop_signals import stop_signals
from im2txt.training.cluster import Cluster

INTERRUPTED = 130
"""Exit status of a command that was asked to stop, and of the launcher then."""
_BAD_FLAG = 2
_SECS_BETWEEN_LOOKS = 0.1
_SECS_TO_NOTICE = 5.0
"""A worker that has lost another one says so and ends by itself; the rest are killed."""
_LINES_SHOWN = 5
_BYTES_SHOWN = 20_000
_PR_SET_PDEATHSIG = 1


def supervise(
    command: Sequence[str], num_workers: int, log_dir: str, max_restarts: int, stop_deadline_secs: float
) -> int:
    """Runs workers until all have finished, or have stopped after a signal.

    SIGINT and SIGTERM are passed on to all workers, which save and end; a second one ends everything at once. If this
    process dies, however it dies, the kernel kills the workers.

    Args:
        command: of every worker, which knows itself by TF_CONFIG.
        num_workers: at least 1.
        log_dir: made if absent; each worker's output is added to worker-INDEX.log in it, the first one's shown too.
        max_restarts: starts after the first one.
        stop_deadline_secs: seconds that workers have to save and end after a signal.

    Returns:
        0, or 130 after a signal.

    Raises:
        FileNotFoundError: if there is no such command.
        RuntimeError: if the workers failed once more than they may be restarted, or in a way that a restart does not
            mend: a bad flag, or the same error as the time before; if one did not save after a signal.
    """
    os.makedirs(log_dir, exist_ok=True)
    last_errors: set[str] = set()
    with stop_signals() as stop_requested:
        for restarts in range(max_restarts + 1):
            with _Workers(command, num_workers, log_dir) as workers:
                statuses = workers.wait(stop_requested, stop_deadline_secs)
                good = {0, INTERRUPTED, -signal.SIGTERM} if stop_requested() else {0, INTERRUPTED}
                if len(statuses) == num_workers and set(statuses.values()) <= good:
                    return INTERRUPTED if any(statuses.values()) else 0
                print(workers.reasons(statuses), end="", file=sys.stderr, flush=True)
                errors = workers.errors(statuses)
            advice = f"The logs are in {log_dir}; mend the cause and give the same command again."
            if stop_requested():
                raise RuntimeError(f"Not all workers have saved and ended after the signal. {advice}")
            if _BAD_FLAG in statuses.values():
                raise RuntimeError(f"A worker's flags are wrong. {advice}")
            if errors & last_errors:
                raise RuntimeError(f"The workers have ended in the same way twice: no restart mends that. {advice}")
            last_errors = errors
            if restarts < max_restarts:
                print(f"Starting all workers again ({restarts + 1} of {max_restarts} times).", flush=True)
    raise RuntimeError(f"The workers have failed {max_restarts + 1} times, and --max_restarts={max_restarts}. {advice}")


class _Workers:
    """The processes of one start; as a context they are killed when it is left."""

    def __init__(self, command: Sequence[str], num_workers: int, log_dir: str):
        self._logs = [Path(log_dir, f"worker-{index}.log") for index in range(num_workers)]
        self._sizes_before = [log.stat().st_size if log.exists() else 0 for log in self._logs]
        self._shown = self._sizes_before[0]
        addresses = free_addresses(num_workers)
        self._processes: list[subprocess.Popen[bytes]] = []
        for index, log in enumerate(self._logs):
            with open(log, "ab") as file:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env=os.environ | {"TF_CONFIG": Cluster(addresses, index).tf_config(), "PYTHONUNBUFFERED": "1"},
                        start_new_session=True,  # A terminal's Ctrl-C reaches the launcher alone, which passes it on.
                        preexec_fn=_end_with(os.getpid()),
                    )
                )

    def __enter__(self) -> _Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()

    def wait(self, stop_requested: Callable[[], bool], stop_deadline_secs: float) -> dict[int, int]:
        """Waits until all workers have ended, or one has failed and the others have had time to notice it.

        Returns:
            The exit statuses of those that ended by themselves, by their indices.
        """
        signalled, end = False, float("inf")
        while True:
            statuses = {i: p.returncode for i, p in enumerate(self._processes) if p.poll() is not None}
            self._show()
            if len(statuses) == len(self._processes) or time.monotonic() > end:
                return statuses
            if stop_requested() and not signalled:
                signalled, end = True, time.monotonic() + stop_deadline_secs
                for process in self._processes:
                    process.send_signal(signal.SIGTERM)
            if any(status not in (0, INTERRUPTED) for status in statuses.values()):
                end = min(end, time.monotonic() + _SECS_TO_NOTICE)
            time.sleep(_SECS_BETWEEN_LOOKS)

    def reasons(self, statuses: dict[int, int]) -> str:
        """Returns in words which workers failed, each with the end of its log, and which never ended."""
        failed = {index: status for index, status in statuses.items() if status not in (0, INTERRUPTED)}
        text = ""
        for index, status in failed.items():
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            lines = "".join(f"    {line}\n" for line in self._last_lines(index))
            text += f"Worker {index} {how}. {self._logs[index]} ends:\n{lines}"
        if not failed and len(statuses) < len(self._processes):
            late = [str(index) for index in range(len(self._processes)) if index not in statuses]
            text += f"Worker(s) {', '.join(late)} did not end in time after the signal, and were killed.\n"
        return text

    def errors(self, statuses: dict[int, int]) -> set[str]:
        """Returns the last lines of workers that ended with an error; none if any was killed, which is no error."""
        if any(status < 0 for status in statuses.values()):
            return set()
        failed = [index for index, status in statuses.items() if status not in (0, INTERRUPTED)]
        return {line for index in failed for line in self._last_lines(index)[-1:]}

    def _last_lines(self, index: int) -> list[str]:
        with open(self._logs[index], "rb") as file:
            file.seek(max(self._sizes_before[index], os.path.getsize(self._logs[index]) - _BYTES_SHOWN))
            lines = file.read().decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_LINES_SHOWN:]

    def _show(self) -> None:
        """Writes out what the first worker has added to its log."""
        with open(self._logs[0], "rb") as file:
            file.seek(self._shown)
            while part := file.read(1 << 20):
                self._shown += len(part)
                sys.stdout.write(part.decode(errors="replace"))
        sys.stdout.flush()

    def _kill(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._show()


def free_addresses(count: int) -> tuple[str, ...]:
    """Returns addresses of this machine, with ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # All open, so that the ports differ.
    try:
        return tuple(f"127.0.0.1:{server.getsockname()[1]}" for server in held)
    finally:
        for server in held:
            server.close()


def _end_with(parent: int) -> Callable[[], None] | None:
    """Returns what a child does before its command: it asks Linux to be killed when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It has died meanwhile.
            os._exit(1)

    return ask
