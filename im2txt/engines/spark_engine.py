"""Runs independent jobs on a Spark cluster, one Spark task per job. See docs/spark.md for what the cluster needs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import pickle
import sys
import zlib
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from im2txt.engines.engine import Job, Report, run_bounded

if TYPE_CHECKING:
    from pyspark import SparkContext

_MAX_IN_FLIGHT = 512  # Each waits in a thread.
_NOT_STARTED = (
    "Spark did not start: {}. It needs Java 17 (Debian: `apt-get install openjdk-17-jre-headless`; JAVA_HOME if it is "
    "not on the PATH)."
)
_FAILED = "Spark gave up: {}. The logs of the executors say more. {}"


class SparkEngine:
    """Tasks on a Spark cluster, or on this machine with `local[*]`.

    Spark runs a task again elsewhere when its executor or machine is lost, or when it fails with an OSError. Every job
    is a Spark job of a single task, so that reports come back one by one, and memory holds only the jobs in flight.
    """

    def __init__(self, master: str | None):
        """Takes the master's address: `spark://HOST:7077`, `yarn`, `k8s://...` or `local[N]`.

        None takes `spark.master` of Spark's own configuration, or `local[*]` where that names none.

        Raises:
            RuntimeError: if pyspark is not installed.
        """
        try:
            import pyspark  # noqa: F401
        except ImportError as error:
            raise RuntimeError("Spark needs pyspark. Install it with `pip install .[spark]`.") from error
        self._master = master

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job], advice: str) -> Generator[Report, None, None]:
        """See `Engine.run`."""
        from py4j.protocol import Py4JJavaError

        context = self._start()
        threads = concurrent.futures.ThreadPoolExecutor(_MAX_IN_FLIGHT)
        run_task = functools.partial(_run_task, context, functools.partial(_call, function, _max_failures(context)))
        try:
            yield from run_bounded(
                functools.partial(threads.submit, run_task),
                jobs,
                # Executors come and go, and with them the number of tasks that can run.
                limit=lambda: min(2 * context.defaultParallelism, _MAX_IN_FLIGHT),
            )
        except Py4JJavaError as error:
            cause = _cause(str(error.java_exception), self._master)
            raise RuntimeError(_FAILED.format(cause, advice)) from error
        finally:
            with contextlib.suppress(Py4JJavaError):  # A context that lost its master has stopped by itself.
                context.cancelAllJobs()
            threads.shutdown(cancel_futures=True)
            context.stop()

    def _start(self) -> SparkContext:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # Spark's own bar would overwrite ours.
        conf = SparkConf().setAppName("im2txt").set("spark.ui.showConsoleProgress", "false")
        if self._master is not None:
            conf.setMaster(self._master)
        try:
            return SparkContext(conf=conf)
        except (PySparkException, Py4JError) as error:
            raise RuntimeError(_NOT_STARTED.format(_cause(str(error), self._master))) from error


def _max_failures(context: SparkContext) -> int:
    # A local master never tries a task again.
    return 1 if str(context.master).startswith("local") else int(context.getConf().get("spark.task.maxFailures", "4"))


def _run_task(context: SparkContext, call: Callable[[bytes], Any], job: Any) -> Any:
    """Runs a job as a Spark task, from a thread of its own; raises what the job raised."""
    # Compressed, a job of hundreds of captions stays below the size that Spark warns of.
    packed = zlib.compress(pickle.dumps(job))
    # Not first(), which leaves the end of the input unread: Spark would end the worker, and what it has loaded with it.
    ((report, error),) = context.parallelize([packed], 1).map(call).collect()
    if error is not None:
        raise error
    return report


def _call(function: Callable[[Any], Any], max_failures: int, packed: bytes) -> tuple[Any, Exception | None]:
    """Runs in an executor. An error that another attempt cannot mend is a result, which Spark does not try again."""
    from pyspark import TaskContext

    context = TaskContext.get()
    try:
        return function(pickle.loads(zlib.decompress(packed))), None
    except OSError as error:
        if context is not None and context.attemptNumber() + 1 < max_failures:
            raise
        return None, error
    except Exception as error:
        return None, error


def _cause(message: str, master: str | None) -> str:
    """Picks out of a Java stack trace what a person needs."""
    if "stopped SparkContext" in message:
        return f"no master answers at {master or 'the address of spark.master in its configuration'}"
    lines = [line.strip().rstrip(".") for line in message.splitlines() if line.strip()]
    missing = [line for line in lines if line.startswith("ModuleNotFoundError")]
    if missing:
        return f"{missing[0]} on a worker; install this package there, in the Python that PYSPARK_PYTHON names"
    return next((line for line in lines if "failed" in line or "Exception" in line or "Error" in line), lines[0])
