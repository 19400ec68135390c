"""A run's figures, as lines of `metrics.jsonl` and for TensorBoard."""

from __future__ import annotations

import json
import os
from types import TracebackType

import tensorflow as tf

from im2txt.runs.run_files import METRICS_NAME


class MetricWriter:
    """Appends rows to `WORKDIR/metrics.jsonl` and scalars to `WORKDIR/tensorboard`."""

    def __init__(self, workdir: str, first_step: int):
        """Opens the files; rows of steps past `first_step`, which a resumed run will write again, are dropped."""
        path = os.path.join(workdir, METRICS_NAME)
        rows = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                rows = [line for line in file if line.endswith("\n") and json.loads(line)["step"] <= first_step]
        temporary = os.path.join(workdir, f".tmp-{METRICS_NAME}")
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(rows)
        os.replace(temporary, path)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        self._summaries = tf.summary.create_file_writer(os.path.join(workdir, "tensorboard"))

    def __enter__(self) -> MetricWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._summaries.close()

    def write(self, kind: str, step: int, epoch: float, values: dict[str, float]) -> None:
        """Writes one row.

        Args:
            kind: `train` or `val`.
            step: updates done.
            epoch: passes done.
            values: by name, e.g. `loss` in nats per word.
        """
        row = {"kind": kind, "step": step, "epoch": round(epoch, 4)} | values
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        with self._summaries.as_default():
            for name, value in values.items():
                tf.summary.scalar(f"{kind}/{name}", value, step=step)
        self._summaries.flush()
