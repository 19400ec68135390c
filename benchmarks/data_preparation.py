"""Time of a whole data preparation, beside the original's, and how it grows to the size of COCO.

First table: 2,000 generated photographs of COCO's size (about 640 x 480, 115 KB) with 5 captions each, made into shards
by whole processes, from the interpreter's start to its end. The limit is one process that does nothing but read every
photograph once (or five times), take its checksum and write it. Every time includes the removal of the output. Below
the table stand the bytes written, and the CPU time of the best run, which neighbours disturb less.

    python -m benchmarks.data_preparation

Second table: 120,000 small photographs with 600,000 captions in 256 shards: time per photograph beside a tenth of them,
the largest memory of any process, and the time of `--dry_run`.

    python -m benchmarks.data_preparation --scale

Both write to memory (/dev/shm) where there is such a folder, so that no disk is measured: 2 GB.
"""

import dataclasses
import functools
import io
import itertools
import json
import math
import os
import shutil
import sys
import tempfile
import time

import numpy as np

from benchmarks.parts import timing
from benchmarks.parts.measured_command import run_measured
from im2txt.system import command_line

CAPTIONS_PER_IMAGE = 5
WORDS_PER_CAPTION = 10
NUM_WORDS = 3_000
SIZES = ((640, 480), (480, 640), (640, 427), (640, 426), (500, 375))
SMALL_SIZE = (64, 48)


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    images: int = 2_000
    """Photographs of the first table."""
    rounds: int = 3
    """Timed runs of each variant, after one that is not."""
    scale: bool = False
    """Show the second table instead of the first."""
    scale_images: int = 120_000
    """Photographs of the second table."""


def main() -> None:
    """Makes the data in a temporary folder and prints a table."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="data_preparation", dir=memory) as folder:
        if flags.scale:
            show_scale(folder, flags.scale_images)
        else:
            show_speed(folder, flags.images, flags.rounds)


def show_speed(folder: str, num_images: int, rounds: int) -> None:
    """Prints the first table."""
    write_photographs(folder, num_images, SIZES, distinct=num_images)
    total = sum(entry.stat().st_size for entry in os.scandir(os.path.join(folder, "images")))
    print(f"{num_images} photographs of {total / num_images / 1e3:.0f} KB", flush=True)
    sizes: dict[str, int] = {}
    cpu_secs: dict[str, float] = {}
    ours = functools.partial(build_command, folder, shards=8)
    original = python(
        "benchmarks.parts.original_preparation", f"{folder}/train.json", f"{folder}/images", f"{folder}/out"
    )
    variants = {
        "original, 8 threads": original,
        "pair, --verify=header": ours("--layout=pair"),
        "pair, --verify=decode": ours("--layout=pair", "--verify=decode"),
        "image, --verify=header": ours(),
        "image, --verify=decode": ours("--verify=decode"),
        "image, --verify=header, 1 worker": ours("--num_workers=1"),
        "limit of pair, 1 process": copy_command(folder, CAPTIONS_PER_IMAGE),
        "limit of image, 1 process": copy_command(folder, 1),
    }
    timings = timing.interleave(
        {name: functools.partial(run, command, folder, name, sizes, cpu_secs) for name, command in variants.items()},
        rounds,
    )
    title = f"{num_images} photographs, {num_images * CAPTIONS_PER_IMAGE} captions, whole processes"
    timing.print_table(title, timings, baseline="original, 8 threads", items=num_images, item_name="photograph")
    for name, size in sizes.items():
        share = size / sizes["original, 8 threads"]
        gain = cpu_secs["original, 8 threads"] / cpu_secs[name]
        print(
            f"{name}: {size / 1e6:,.0f} MB, {share:.2f} of the original's; {cpu_secs[name]:.1f} s of CPU, {gain:.2f}x"
        )


def show_scale(folder: str, num_images: int) -> None:
    """Prints the second table."""
    print(
        f"{'photographs':>12} {'captions':>9} {'shards':>6} {'run':>9} {'s':>7} {'us/photo':>9} {'largest process':>16}"
    )
    for count, shards in ((num_images // 10, 26), (num_images, 256)):
        data = os.path.join(folder, str(count))
        write_photographs(data, count, (SMALL_SIZE,), distinct=100)
        for name, more in (("--dry_run", ("--dry_run",)), ("build", ())):
            start = time.perf_counter()
            peak_bytes = run_measured(build_command(data, *more, shards=shards)).ru_maxrss * 1024
            secs = time.perf_counter() - start
            print(
                f"{count:>12,} {count * CAPTIONS_PER_IMAGE:>9,} {shards:>6} {name:>9} {secs:>7.1f} "
                f"{secs / count * 1e6:>9.0f} {peak_bytes / 2**20:>12,.0f} MiB",
                flush=True,
            )
        shutil.rmtree(data)


def write_photographs(folder: str, count: int, sizes: tuple[tuple[int, int], ...], distinct: int) -> None:
    """Writes `count` photographs, of which `distinct` differ, and their captions as `train.json`."""
    os.makedirs(f"{folder}/images")
    encoded = [photograph(seed, sizes[seed % len(sizes)]) for seed in range(distinct)]
    for number, content in zip(range(count), itertools.cycle(encoded)):
        with open(f"{folder}/images/{number}.jpg", "wb") as file:
            file.write(content)
    # Word frequencies as in a language: the n-th most frequent word 1/n as often as the first.
    weights = 1 / np.arange(1, NUM_WORDS + 1)
    words = np.random.default_rng(0).choice(
        NUM_WORDS, (count * CAPTIONS_PER_IMAGE, WORDS_PER_CAPTION), p=weights / weights.sum()
    )
    captions = (" ".join(f"word{spelled(word)}" for word in caption) for caption in words)
    annotations = [
        {"id": number, "image_id": number // CAPTIONS_PER_IMAGE, "caption": f"A {caption}."}
        for number, caption in enumerate(captions)
    ]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(count)]
    with open(f"{folder}/train.json", "w", encoding="utf-8") as file:
        json.dump({"images": images, "annotations": annotations}, file)


def spelled(number: int) -> str:
    """Spells a number in letters, as captions seldom hold digits."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def photograph(seed: int, size: tuple[int, int]) -> bytes:
    """A JPEG as large as a photograph's: smooth areas with the noise of a sensor."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    areas = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(areas) + rng.normal(0, rng.uniform(7, 12), (size[1], size[0], 3))
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=int(rng.integers(87, 93)))
    return stream.getvalue()


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in a process of its own."""
    return [sys.executable, "-m", module, *arguments]


def build_command(folder: str, *flags: str, shards: int) -> list[str]:
    """The command that builds the folder's photographs into `out`."""
    return python(
        "data_prep.build_shards",
        "coco",
        f"--train_captions_file={folder}/train.json",
        f"--train_images_dir={folder}/images",
        f"--output_dir={folder}/out",
        f"--train_shards={shards}",
        *flags,
    )


def copy_command(folder: str, copies: int) -> list[str]:
    """The command that copies every photograph with a checksum, and does nothing else."""
    return python("benchmarks.parts.raw_copy", f"{folder}/images", f"{folder}/out", str(copies))


def run(command: list[str], folder: str, name: str, sizes: dict[str, int], cpu_secs: dict[str, float]) -> None:
    """Runs a command, notes the size of what it wrote and the CPU time of its best run, and removes the output."""
    usage = run_measured(command)
    cpu_secs[name] = min(usage.ru_utime + usage.ru_stime, cpu_secs.get(name, math.inf))
    sizes[name] = sum(entry.stat().st_size for entry in os.scandir(f"{folder}/out") if "-of-" in entry.name)
    shutil.rmtree(f"{folder}/out")


if __name__ == "__main__":
    command_line.run(main)
