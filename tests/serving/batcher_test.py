"""What waits is run together, in order, and no one waits for nothing."""

import asyncio
import threading

import pytest

from im2txt.serving.batcher import Batcher, padded_size, padded_sizes


class Doubler:
    """Doubles numbers; notes its batches; is held while `gate` is cleared, and fails on 13."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []

    def __call__(self, numbers):
        self.gate.wait(60)
        self.batches.append(list(numbers))
        if 13 in numbers:
            raise RuntimeError("13 has no double")
        return [2 * number for number in numbers]


def with_batcher(test, doubler, max_batch_size=4, max_wait_secs=0.0, num_expected=lambda: 0):
    async def run():
        batcher = Batcher(doubler, max_batch_size, max_wait_secs, num_expected)
        task = asyncio.create_task(batcher.run())
        try:
            return await asyncio.wait_for(test(batcher), 60)
        finally:
            doubler.gate.set()
            task.cancel()

    return asyncio.run(run())


async def submitted(batcher, numbers):
    """Tasks whose items are in the queue."""
    tasks = [asyncio.create_task(batcher.submit(number)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


def test_items_submitted_together_are_run_together_in_batches_of_the_largest_size():
    doubler = Doubler()

    async def test(batcher):
        return await asyncio.gather(*await submitted(batcher, range(10)))

    assert with_batcher(test, doubler) == [2 * number for number in range(10)]
    assert doubler.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_what_comes_while_a_batch_runs_is_the_next_batch():
    doubler = Doubler()

    async def test(batcher):
        doubler.gate.clear()
        first = await submitted(batcher, [1])
        await asyncio.sleep(0)
        later = await submitted(batcher, [2, 3])
        doubler.gate.set()
        return await asyncio.gather(*first, *later)

    assert with_batcher(test, doubler) == [2, 4, 6]
    assert doubler.batches == [[1], [2, 3]]


def test_a_batch_waits_for_those_on_their_way_but_not_longer_than_allowed():
    doubler = Doubler()

    async def test(batcher):
        first = await submitted(batcher, [1])
        later = await submitted(batcher, [2])  # In the queue only after the batch has begun to wait.
        return await asyncio.gather(*first, *later)

    assert with_batcher(test, doubler, max_wait_secs=50.0, num_expected=lambda: 2) == [2, 4]
    assert doubler.batches == [[1, 2]]
    # One that never comes: the wait ends by itself.
    assert with_batcher(test, doubler, max_wait_secs=0.01, num_expected=lambda: 3) == [2, 4]


def test_a_lone_item_waits_for_no_one():
    async def test(batcher):
        return await batcher.submit(1)

    assert with_batcher(test, Doubler(), max_wait_secs=1000.0, num_expected=lambda: 1) == 2


def test_a_batch_that_fails_tells_its_callers_and_the_next_one_runs():
    async def test(batcher):
        failed = await asyncio.gather(*await submitted(batcher, [13, 1]), return_exceptions=True)
        return failed, await batcher.submit(5)

    failed, result = with_batcher(test, Doubler())
    assert [str(error) for error in failed] == ["13 has no double"] * 2
    assert result == 10


def test_items_whose_callers_are_gone_are_not_run():
    doubler = Doubler()

    async def test(batcher):
        doubler.gate.clear()
        first = await submitted(batcher, [1])
        await asyncio.sleep(0)
        gone, stays = await submitted(batcher, [2, 3])
        gone.cancel()
        doubler.gate.set()
        return await asyncio.gather(*first, stays)

    assert with_batcher(test, doubler) == [2, 6]
    assert doubler.batches == [[1], [3]]


@pytest.mark.parametrize(("items", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (9, 12), (12, 12)])
def test_batches_are_filled_up_to_few_sizes(items, size):
    assert padded_size(items, 12) == size
    assert size in padded_sizes(12)
    assert padded_sizes(12) == [1, 2, 4, 8, 12]
