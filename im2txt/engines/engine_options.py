"""The flags with which a command is told where its jobs run."""

from __future__ import annotations

import dataclasses
import re

from im2txt.engines.engine import Engine
from im2txt.engines.local_engine import LocalEngine

LOCAL = "local"
SPARK = "spark"
_MASTER = re.compile(r"(spark|k8s)://.+|yarn|local\[.+\]")


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """Where the jobs of a command run; what comes out is the same everywhere."""

    engine: str = LOCAL
    """`local`: processes of this machine. `spark`: Spark, as its own configuration says. Or the address of a Spark
    master: spark://HOST:7077, yarn, k8s://..., local[2]. docs/spark.md says what a cluster needs."""
    num_workers: int = 2
    """Worker processes of the engine `local`; on Spark its own configuration decides."""

    def __post_init__(self) -> None:
        if self.engine not in (LOCAL, SPARK) and not _MASTER.fullmatch(self.engine):
            raise ValueError(
                f"--engine={self.engine} is neither `local` nor `spark` nor the address of a Spark master, such as "
                "spark://HOST:7077, yarn or local[2]."
            )
        if self.num_workers < 1:
            raise ValueError(f"--num_workers={self.num_workers} must be at least 1.")

    @property
    def is_one_process(self) -> bool:
        """Whether the jobs run one after the other in the command's own process."""
        return self.engine == LOCAL and self.num_workers == 1

    def make(self) -> Engine:
        """Returns the engine; RuntimeError if it is Spark and pyspark is not installed."""
        if self.engine == LOCAL:
            return LocalEngine(self.num_workers)
        from im2txt.engines.spark_engine import SparkEngine  # Deferred: few commands run on a cluster.

        return SparkEngine(None if self.engine == SPARK else self.engine)
