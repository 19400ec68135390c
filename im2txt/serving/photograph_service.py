"""Photographs of many requests to captions: checked and decoded each by itself, captioned together."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from im2txt.images.image_files import PhotographOptions, to_jpeg
from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.serving.batcher import Batcher, padded_size, padded_sizes
from im2txt.serving.service_limits import ServiceLimits
from im2txt.serving.service_metrics import ServiceMetrics

Outputs = dict[str, np.ndarray]
"""A photograph's outputs of the model by name, each [K] or [K, L]."""
_MAX_DECODERS = 4  # Threads; each may hold a photograph of the largest size.
_MAX_RETRY_SECS = 60


class Model(Protocol):
    """What a service asks of a model; `inference.exported_model.ExportedModel` is one."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(S, S, 3), of a prepared photograph."""

    def prepare(self, encoded_image: bytes) -> np.ndarray:
        """Decodes a JPEG to float32 [S, S, 3]; UnusablePhotographError if it does not decode."""

    def caption(self, images: np.ndarray) -> Outputs:
        """Captions float32 [N, S, S, 3]; each output has N rows."""


class QueueFullError(Exception):
    """More photographs than may wait.

    Attributes:
        retry_secs: when there may be room again.
    """

    def __init__(self, retry_secs: int):
        super().__init__(f"too many photographs are waiting; try again in {retry_secs} s")
        self.retry_secs = retry_secs


class PhotographService:
    """Captions photographs while it is started; counts those admitted and refuses more than may wait."""

    def __init__(self, model: Model, limits: ServiceLimits, metrics: ServiceMetrics):
        """Takes a loaded model."""
        self._model = model
        self._limits = limits
        self._metrics = metrics
        self._admitted = 0
        self._batcher = Batcher[np.ndarray, Outputs](
            self._caption_batch, limits.max_batch_size, limits.max_wait_ms / 1000, lambda: self._admitted
        )
        self._decoders = ThreadPoolExecutor(min(_MAX_DECODERS, os.cpu_count() or 1), "decoders")
        metrics.waiting.set_function(lambda: self._admitted)

    def warm_up(self) -> None:
        """Runs every batch size once: what is compiled or tuned at the first call is done before the first request."""
        for size in padded_sizes(self._limits.max_batch_size):
            self._model.caption(np.zeros((size, *self._model.image_shape), np.float32))

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Takes photographs within the `async with`."""
        task = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._decoders.shutdown()

    def check_room(self, num_photographs: int) -> None:
        """Raises QueueFullError if there are not so many places."""
        if self._admitted + num_photographs > self._limits.queue_size:
            secs = math.ceil(self._admitted * self._batcher.secs_per_item)
            raise QueueFullError(min(max(1, secs), _MAX_RETRY_SECS))

    @contextlib.contextmanager
    def admitted(self, num_photographs: int) -> Iterator[None]:
        """Holds places for a request's photographs; QueueFullError if there are not so many."""
        self.check_room(num_photographs)
        self._admitted += num_photographs
        try:
            yield
        finally:
            self._admitted -= num_photographs

    async def caption(self, photographs: Sequence[bytes]) -> list[Outputs | UnusablePhotographError]:
        """Captions a request's photographs.

        Args:
            photographs: files of any usual format; places for them are held by `admitted`.

        Returns:
            One result for each, in order: the outputs, or why there are none, which leaves the others theirs.

        Raises:
            TimeoutError: if it takes longer than `answer_timeout_secs`.
        """
        async with asyncio.timeout(self._limits.answer_timeout_secs):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._caption_one(content)) for content in photographs]
        return [task.result() for task in tasks]

    async def _caption_one(self, content: bytes) -> Outputs | UnusablePhotographError:
        try:
            image = await asyncio.get_running_loop().run_in_executor(self._decoders, self._prepare, content)
        except UnusablePhotographError as error:
            self._metrics.photographs.labels(error.reason).inc()
            return error
        outputs = await self._batcher.submit(image)
        self._metrics.photographs.labels("captioned").inc()
        return outputs

    def _prepare(self, content: bytes) -> np.ndarray:
        if not content:
            raise UnusablePhotographError("empty_file", "0 bytes")
        return self._model.prepare(to_jpeg(content, PhotographOptions(), self._limits.max_pixels))

    def _caption_batch(self, images: Sequence[np.ndarray]) -> list[Outputs]:
        with self._metrics.batch_seconds.time():
            size = padded_size(len(images), self._limits.max_batch_size)
            padded = np.stack([*images, *[images[-1]] * (size - len(images))])
            outputs = self._model.caption(padded)
        self._metrics.batch_size.observe(len(images))
        return [{name: values[i] for name, values in outputs.items()} for i in range(len(images))]
