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
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyspark import SparkContext

Job = TypeVar("Job")
Report = TypeVar("Report")

_MAX_IN_FLIGHT = 512  # Each waits in a thread.
_NOT_STARTED = (
    "Spark did not start: {}. It needs Java 17 (Debian: `apt-get install openjdk-17-jre-headless`; JAVA_HOME if it is "
    "not on the PATH)."
)
_FAILED = "Spark gave up: {}. Run the same command again: finished shards are kept. The logs of the executors say more."


class SparkEngine:
    """Tasks on a Spark cluster, or on this machine with `local[*]`.

    Spark runs a task again elsewhere when its executor or machine is lost, or when it fails with an OSError. Every job
    is a Spark job of a single task, so that reports come back one by one, and memory holds only the jobs in flight.
    """

    def __init__(self, master: str):
        """Takes the master's address: `spark://HOST:7077`, `yarn`, `k8s://...` or `local[N]`.

        Raises:
            RuntimeError: if pyspark is not installed.
        """
        try:
            import pyspark  # noqa: F401
        except ImportError as error:
            raise RuntimeError("--engine=spark needs pyspark. Install it with `pip install .[spark]`.") from error
        self._master = master

    def run(self, function: Callable[[Job], Report], jobs: Iterable[Job]) -> Generator[Report, None, None]:
        """See `engines.Engine.run`."""
        from py4j.protocol import Py4JJavaError

        context = self._start()
        threads = concurrent.futures.ThreadPoolExecutor(_MAX_IN_FLIGHT)
        run_task = functools.partial(
            _run_task, context, functools.partial(_call, function, self._max_failures(context))
        )
        try:
            pending: set[concurrent.futures.Future[Report]] = set()
            for job in jobs:
                pending.add(threads.submit(run_task, job))
                # Executors come and go, and with them the number of tasks that can run.
                if len(pending) >= min(2 * context.defaultParallelism, _MAX_IN_FLIGHT):
                    done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in concurrent.futures.as_completed(pending))
        except Py4JJavaError as error:
            raise RuntimeError(_FAILED.format(_cause(str(error.java_exception), self._master))) from error
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
        conf = SparkConf().setMaster(self._master).setAppName("im2txt").set("spark.ui.showConsoleProgress", "false")
        try:
            return SparkContext(conf=conf)
        except (PySparkException, Py4JError) as error:
            raise RuntimeError(_NOT_STARTED.format(_cause(str(error), self._master))) from error

    def _max_failures(self, context: SparkContext) -> int:
        # A local master never tries a task again.
        return 1 if self._master.startswith("local") else int(context.getConf().get("spark.task.maxFailures", "4"))


def _run_task(context: SparkContext, call: Callable[[bytes], Any], job: Any) -> Any:
    """Runs a job as a Spark task, from a thread of its own; raises what the job raised."""
    # Compressed, a job of hundreds of captions stays below the size that Spark warns of.
    packed = zlib.compress(pickle.dumps(job))
    report, error = context.parallelize([packed], 1).map(call).first()
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


def _cause(message: str, master: str) -> str:
    """Picks out of a Java stack trace what a person needs."""
    if "stopped SparkContext" in message:
        return f"no master answers at {master}"
    lines = [line.strip().rstrip(".") for line in message.splitlines() if line.strip()]
    missing = [line for line in lines if line.startswith("ModuleNotFoundError")]
    if missing:
        return f"{missing[0]} on a worker; install this package there, in the Python that PYSPARK_PYTHON names"
    return next((line for line in lines if "failed" in line or "Exception" in line or "Error" in line), lines[0])
