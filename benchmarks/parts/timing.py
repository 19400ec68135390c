"""Timing shared by the benchmarks: interleaved rounds, medians, one table, and the matmul peak."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def interleave(
    variants: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Times every variant once per round, so that a slow spell of the machine hits all of them.

    Each variant is first called once untimed (tracing, caches); the order rotates every round.

    Args:
        variants: name -> callable that returns only when its work is done (for TensorFlow: call
            `.numpy()` on a result, or work queued on an accelerator is not counted).
        rounds: timed calls per variant, at least 1.
        clock: seconds now; `time.process_time` counts those of all threads at work, and not those of neighbours.

    Returns:
        name -> `rounds` times in seconds, in the order measured.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; it must be at least 1.")
    names = list(variants)
    for name in names:
        variants[name]()
    timings: dict[str, list[float]] = {name: [] for name in names}
    for round_index in range(rounds):
        shift = round_index % len(names)
        for name in names[shift:] + names[:shift]:
            start = clock()
            variants[name]()
            timings[name].append(clock() - start)
    return timings


def print_table(
    title: str,
    timings: Mapping[str, Sequence[float]],
    *,
    baseline: str,
    items: int = 1,
    item_name: str = "call",
    limit_secs: float | None = None,
) -> None:
    """Prints median, fastest and slowest time per item, and how many times `baseline` each beats.

    Args:
        title: line above the table.
        timings: name -> seconds per call, as `interleave` returns them.
        baseline: the variant whose median is the 1.0x of the ratio column.
        items: things done per call (images of a batch), at least 1; times are shown per thing.
        item_name: what one thing is called in the heading.
        limit_secs: seconds per item that the hardware cannot beat; shown as a last row.
    """
    reference = statistics.median(timings[baseline])
    rows = [("variant", f"median ms/{item_name}", "min", "max", f"x {baseline}")]
    for name, samples in timings.items():
        median = statistics.median(samples)
        shown = [f"{1e3 * secs / items:.3f}" for secs in (median, min(samples), max(samples))]
        rows.append((name, shown[0], shown[1], shown[2], f"{reference / median:.2f}x"))
    if limit_secs is not None:
        ratio = f"{reference / items / limit_secs:.2f}x"
        rows.append(("limit", f"{1e3 * limit_secs:.3f}", "", "", ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\n{title}")
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def measure_matmul_peak(size: int = 2048, rounds: int = 20, dtype: str = "float32") -> float:
    """Measures the fastest product of two `size` x `size` matrices of `dtype` that TensorFlow reaches.

    Returns:
        Floating point operations per second (a multiply-add counts as two).
    """
    import tensorflow as tf  # here, so that a benchmark without TensorFlow can use this module

    matrix = tf.cast(tf.random.stateless_uniform([size, size], seed=[0, 1]), dtype)
    secs = interleave({"matmul": lambda: tf.linalg.matmul(matrix, matrix)[0, 0].numpy()}, rounds)
    return 2.0 * size**3 / min(secs["matmul"])
