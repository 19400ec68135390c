"""What a command takes, for benchmarks that time whole commands."""

import os
import resource
import subprocess
import tempfile

_SHOWN = 2000


def run_measured(command: list[str]) -> resource.struct_rusage:
    """Runs a command and returns what it and its workers used: CPU time in all, memory of the largest process.

    Raises:
        RuntimeError: with the end of its error output, if it fails.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            log.seek(0)
            told = log.read()[-_SHOWN:].decode(errors="replace")
            raise RuntimeError(f"{command} ended with status {status}: {told}")
    return usage
