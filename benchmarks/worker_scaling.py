"""Two worker processes against one on the same cores, and the seconds that a killed worker costs.

Trains Show and Tell on cached features through the commands: V 12,000, 512 units, plain gradient descent in float32,
captions as long as COCO's, drawn at random. One process has all cores; two workers, started by `im2txt.launch`, share
them: 1.0x is all that is to be had, and what is missing to it is what the exchange of gradients (all 62 MB of them, at
every step) and the second process cost. The batch is that of both workers together.

Then one of the two workers is killed: lost are the seconds from its death to the first step after the restart, and the
steps since the latest checkpoint, which are trained again.

Run it as `python -m benchmarks.worker_scaling`; it takes about ten minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts import timing
from benchmarks.parts.drawn_features import ENCODER_FLAGS, write_feature_shards
from im2txt.system import command_line

VOCAB_SIZE = 12_000
FEATURE_SIZE = 2048
STEPS = {32: 48, 256: 12}
INTERVALS = 4
"""Log lines of a run; the first has the start in it and is left out."""
TRAIN_IMAGES = 2_000
NUM_CAPTIONS = 5 * TRAIN_IMAGES


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 2
    """Measured runs of each variant."""


def command(folder: Path, workdir: Path, batch_size: int, num_steps: int, log_every_steps: int) -> list[str]:
    """Returns the command that trains so many steps."""
    return [
        *(sys.executable, "-m", "im2txt.train", "--config=im2txt"),
        *ENCODER_FLAGS,
        f"--config.input.data_dir={folder}",
        f"--workdir={workdir}",
        f"--config.input.batch_size={batch_size}",
        f"--config.training.num_epochs={num_steps * batch_size / NUM_CAPTIONS}",
        f"--config.training.log_every_steps={log_every_steps}",
        f"--config.training.steps_per_call={log_every_steps}",
        "--config.optimization.learning_rate=0.1",
        "--config.training.eval_every_epochs=1000",
    ]


def with_two_workers(of_one: list[str], log_dir: Path) -> list[str]:
    """Returns the command that runs another one in two workers."""
    launch = [sys.executable, "-m", "im2txt.launch", "--num_workers=2", f"--log_dir={log_dir}", "--"]
    return [*launch, *of_one, "--config.training.distribution=multi_worker"]


def secs_per_step(folder: Path, batch_size: int, num_workers: int) -> float:
    """Trains in a folder of its own and returns the mean seconds of a step, without those of the first log line."""
    with tempfile.TemporaryDirectory() as scratch:
        workdir = Path(scratch, "run")
        of_one = command(folder, workdir, batch_size, STEPS[batch_size], STEPS[batch_size] // INTERVALS)
        run = of_one if num_workers == 1 else with_two_workers(of_one, Path(scratch, "logs"))
        subprocess.run(run, check=True, capture_output=True)
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    later = [row for row in rows if row["kind"] == "train"][1:]
    return sum(batch_size / row["captions_per_sec"] for row in later) / len(later)


def show_throughput(folder: Path, rounds: int) -> None:
    """Measures one process and two workers, interleaved, and prints a table for each batch size."""
    for batch_size in STEPS:
        timings: dict[str, list[float]] = {"one process": [], "two workers": []}
        for _ in range(rounds):
            for workers, name in enumerate(timings, start=1):
                timings[name].append(secs_per_step(folder, batch_size, workers))
        timing.print_table(
            f"Training on {os.cpu_count()} cores, batch {batch_size} over all workers",
            timings,
            baseline="one process",
            item_name="step",
        )


def show_restart(folder: Path) -> None:
    """Kills a worker in the middle of a run and prints what that cost."""
    with tempfile.TemporaryDirectory() as scratch:
        logs = Path(scratch, "logs")
        of_one = command(folder, Path(scratch, "run"), 32, 80, 5)
        # A checkpoint after every few seconds of training; the default is ten minutes.
        run = with_two_workers([*of_one, "--config.training.checkpoint_every_secs=5"], logs)
        launcher = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert launcher.stdout is not None
        killed_at = lost = step = 0.0
        lines = []
        for line in launcher.stdout:
            lines.append(line)
            if killed_at and (found := re.match(r"Resuming at step (\d+)", line)):
                lost = step - int(found[1])
                print(f"resumed after {time.monotonic() - killed_at:.1f} s")
            if found := re.match(r"train \| step (\d+)", line):
                if killed_at:
                    print(f"first {int(found[1]) - (step - lost):.0f} steps after {time.monotonic() - killed_at:.1f} s")
                    print(f"steps trained again: {lost:.0f} (checkpoints were 5 s apart)")
                    break
                step = int(found[1])
                if step == 40:
                    os.kill(_workers_of(launcher.pid)[1], signal.SIGKILL)
                    killed_at = time.monotonic()
        else:
            raise RuntimeError(f"The run ended before it was killed and had resumed:\n{''.join(lines)}")
        launcher.send_signal(signal.SIGTERM)
        launcher.communicate()


def _workers_of(launcher: int) -> list[int]:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text()
    return sorted(map(int, children.split()))


def main() -> None:
    """Draws the shards, measures, prints."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "features")
        write_feature_shards(folder, {"train": TRAIN_IMAGES, "val": 20}, VOCAB_SIZE, FEATURE_SIZE)
        show_throughput(folder, flags.rounds)
        show_restart(folder)


if __name__ == "__main__":
    command_line.run(main)
