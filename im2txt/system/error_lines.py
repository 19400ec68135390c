"""Which errors are the user's to mend, and the one line each of them gets; all others keep their traceback.

A ValueError of ours that says what to do and one of NumPy's that betrays a bug have the same class. What tells them
apart is where they come from: ours were raised, by a `raise` in this project's own code.
"""

from __future__ import annotations

import dis
import errno
import os
import re
import sys
from types import TracebackType

_OUR_PACKAGES = ("__main__", "configs", "data_prep", "im2txt")
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OUR_FOLDERS = tuple(os.path.join(_ROOT, package, "") for package in _OUR_PACKAGES)
_RAISE = dis.opmap["RAISE_VARARGS"]
_PRINTED_FRAME = re.compile(r'^  File "(.+)", line \d+, in .+\n    (.+)$', re.MULTILINE)


def error_line(error: BaseException) -> str | None:
    """Returns the line for an error that the user can mend, or None for one that is a fault of the program.

    The user's are what the operating system says of files and connections, memory and disks that are full, and the
    ValueErrors and RuntimeErrors that this project's code raises.
    """
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{error}. Free some space, then give the same command again."
        return str(error)
    if _is_out_of_memory(error):
        reason = str(error).partition("\n")[0] or "no more to be had"
        return f"Out of memory: {reason}. Use a smaller batch size, or fewer workers."
    if isinstance(error, (ValueError, RuntimeError)):
        elsewhere = str(error.__cause__) if type(error.__cause__).__name__ == "_RemoteTraceback" else ""
        if _was_raised_by_us(elsewhere) if elsewhere else _is_raised_by_us(error.__traceback__):
            return str(error)
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # If it is not loaded, the error is not its.
    return isinstance(error, MemoryError) or (
        tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    )


def _is_raised_by_us(traceback: TracebackType | None) -> bool:
    """Whether the innermost frame is this project's, and stands at a `raise`: `int("x")` there is a bug of ours."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    package = traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    return package in _OUR_PACKAGES and traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == _RAISE


def _was_raised_by_us(traceback: str) -> bool:
    """The same of an error from a worker process, of which only the printed traceback has come along."""
    frames = _PRINTED_FRAME.findall(traceback)
    if not frames:
        return False
    path, statement = frames[-1]
    return path.startswith(_OUR_FOLDERS) and statement.startswith("raise ")
