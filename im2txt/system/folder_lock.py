"""One process at a time in a folder that is being written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from im2txt.system import storage

LOCK_NAME = ".lock"


@contextlib.contextmanager
def folder_lock(directory: str, flag: str) -> Iterator[None]:
    """Makes the folder and holds it for this process.

    The kernel frees the lock when the process ends, however it ends, so none is ever stale. An object store has no
    locks: there the caller must do no harm by itself, or must be started once only.

    Args:
        directory: local or remote folder.
        flag: the command's flag that names the folder, such as `--output_dir`; for the advice.

    Raises:
        RuntimeError: if another process holds the folder, with its id and machine.
    """
    storage.make_directory(directory)
    if storage.is_remote(directory):
        yield
        return
    path = storage.join(directory, LOCK_NAME)
    descriptor = _lock(path, flag)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        storage.remove(path)
        os.close(descriptor)


def _lock(path: str, flag: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
            os.close(descriptor)  # Its owner removed the file between our two calls.
        except BlockingIOError as error:
            owner = os.pread(descriptor, 1000, 0).decode()
            os.close(descriptor)
            raise RuntimeError(
                f"Another process is writing into {os.path.dirname(path)} ({owner or 'unknown process'}). Wait for it, "
                f"or choose another {flag}."
            ) from error
