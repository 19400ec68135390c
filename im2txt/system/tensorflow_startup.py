"""TensorFlow, started without the lines that it writes before it can be told to be quiet.

While it is imported and looks for devices, TensorFlow writes half a dozen lines about oneDNN, CUDA and log files to
descriptor 2, whatever its log level; they would bury a command's own first line, or its error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import tempfile
from collections.abc import Iterator

SHOW_LOG = "IM2TXT_TENSORFLOW_LOG"
"""Environment variable: if it is set, TensorFlow writes what it likes."""


def start_tensorflow(with_keras: bool = True) -> None:
    """Imports TensorFlow and lists its devices; what it writes meanwhile is shown only if that fails.

    Whoever runs TensorFlow in a process of its own calls this first there: a command, after its flags are checked, or a
    job of an engine. Whatever else writes to descriptor 2 meanwhile, Python's warnings included, is held back with it.
    Later lines of TensorFlow are left out as well: it calls much an error that is none, and raises what is one.

    Args:
        with_keras: TensorFlow imports Keras wherever it is installed. False hides it from the whole process: a second
            and 50 MB less, for what runs an exported model.

    Raises:
        ImportError: if TensorFlow cannot be imported.
    """
    if "tensorflow" in sys.modules:
        return
    if not with_keras:
        sys.modules.setdefault("keras", None)  # type: ignore[arg-type]
    if os.environ.get(SHOW_LOG):
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps what is written to descriptor 2 in a file; writes it out after an exception."""
    sys.stderr.flush()
    watched = faulthandler.is_enabled()
    with tempfile.TemporaryFile() as log, os.fdopen(os.dup(2), "wb") as terminal:
        if not watched:  # A processor that TensorFlow cannot run on ends the process here, past all excepts.
            faulthandler.enable(terminal)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            terminal.write(log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal.fileno(), 2)
            if not watched:
                faulthandler.disable()
