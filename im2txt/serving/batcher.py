"""Single items from many requests, run in batches: whatever waits when the runner is free goes next, together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """A queue in front of a function that takes batches; one batch runs at a time, in a thread of its own."""

    def __init__(
        self,
        run_batch: Callable[[Sequence[Item]], Sequence[Result]],
        max_batch_size: int,
        max_wait_secs: float,
        num_expected: Callable[[], int],
    ):
        """Makes an idle batcher; `run` starts it.

        Args:
            run_batch: blocking; returns one result per item.
            max_batch_size: items per call, at most.
            max_wait_secs: from the first item of a batch on.
            num_expected: items that are here or on their way; a batch that holds as many waits for no more.
        """
        self._run_batch = run_batch
        self._max_batch_size = max_batch_size
        self._max_wait_secs = max_wait_secs
        self._num_expected = num_expected
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Result]]] = asyncio.Queue()
        self.secs_per_item = 0.0
        """Of the batch run last."""

    async def submit(self, item: Item) -> Result:
        """Returns the item's result; raises what the batch raised. An item whose caller is gone is not run."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def run(self) -> None:
        """Runs batches until it is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "batches") as thread:
            while True:
                batch = [(item, future) for item, future in await self._gather() if not future.done()]
                if not batch:
                    continue
                started = time.monotonic()
                try:
                    results = await loop.run_in_executor(thread, self._run_batch, [item for item, _ in batch])
                    self.secs_per_item = (time.monotonic() - started) / len(batch)
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
                except Exception as error:  # The callers' to handle: the next batch may do well.
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)

    async def _gather(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch = [await self._queue.get()]
        end = time.monotonic() + self._max_wait_secs
        while len(batch) < self._max_batch_size:
            if self._queue.empty():
                remaining = end - time.monotonic()
                if remaining <= 0 or self._num_expected() <= len(batch):
                    break
                try:
                    batch.append(await asyncio.wait_for(self._queue.get(), remaining))
                except TimeoutError:
                    break
            else:
                batch.append(self._queue.get_nowait())
        return batch


def padded_size(num_items: int, max_batch_size: int) -> int:
    """Returns the batch size that `num_items` are filled up to: the next power of two, or the largest size there is.

    A compiled or tuned program is kept for every size it meets; few sizes keep them few.
    """
    return min(1 << (num_items - 1).bit_length(), max_batch_size)


def padded_sizes(max_batch_size: int) -> list[int]:
    """Returns every value that `padded_size` can have, smallest first."""
    return sorted({padded_size(n, max_batch_size) for n in range(1, max_batch_size + 1)})
