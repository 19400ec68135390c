"""A run's figures, as lines of `metrics.jsonl` and for TensorBoard."""

from __future__ import annotations

import json
import os
from types import TracebackType

import numpy as np
import tensorflow as tf

from im2txt.runs.metric_rows import read_rows
from im2txt.runs.run_files import METRICS_NAME
from im2txt.system import storage


class MetricWriter:
    """Appends rows to `WORKDIR/metrics.jsonl` and scalars to `WORKDIR/tensorboard`."""

    def __init__(self, workdir: str, first_step: int):
        """Opens the files; rows of steps past `first_step`, which a resumed run will write again, are dropped.

        Raises:
            ValueError: if a row that is there is garbled; the message has its file and line.
        """
        self._path = storage.join(workdir, METRICS_NAME)
        rows = [line for line, row in read_rows(self._path) if row["step"] <= first_step]
        storage.write_text(self._path, "".join(rows))
        self._summaries = tf.summary.create_file_writer(os.path.join(workdir, "tensorboard"))

    def __enter__(self) -> MetricWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
        storage.append_text(self._path, json.dumps(row) + "\n")
        # As plain values: what tf.summary.scalar writes are tensors, which many readers do not find among the scalars.
        summary = tf.compat.v1.Summary()
        for name, value in values.items():
            summary.value.add(tag=f"{kind}/{name}", simple_value=value)
        self._write_summary(step, summary)

    def write_picture(self, tag: str, step: int, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H, W, 3], among TensorBoard's images."""
        summary = tf.compat.v1.Summary()
        encoded = tf.io.encode_png(picture).numpy()
        height, width = picture.shape[:2]
        summary.value.add(tag=tag).image.MergeFrom(
            tf.compat.v1.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
        )
        self._write_summary(step, summary)

    def write_text(self, tag: str, step: int, text: str) -> None:
        """Shows text, which TensorBoard reads as Markdown, among its texts."""
        with self._summaries.as_default():
            tf.summary.text(tag, text, step)
        self._summaries.flush()

    def _write_summary(self, step: int, summary: tf.compat.v1.Summary) -> None:
        with self._summaries.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
        self._summaries.flush()
