"""Where the memory of a training on cached features goes: peaks of the command, with one thing more in each row.

`--config=flickr8k` on as many features and captions as Flickr8k has, drawn at random: 6,000 photographs to train on and
1,000 to validate, 1,280 numbers each, five captions each, 2,932 words. All rows but the last compute in float32; the
last is the configuration as it is, whose peak grows on with the steps. The machine holds the shards in its page cache
besides, which no row counts.

Run it as `python -m benchmarks.training_memory`; it takes about five minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.parts.drawn_features import CAPTIONS_PER_IMAGE, ENCODER_FLAGS, write_feature_shards
from benchmarks.parts.measured_command import run_measured
from im2txt.system import command_line

VOCAB_SIZE = 2_932
FEATURE_SIZE = 1_280
IMAGES = {"train": 6_000, "val": 1_000, "few": 20}
BATCH_SIZE = 64
FEW_STEPS, STEPS = 4, 400

_FLOAT32 = {"training.compute_dtype": "float32"}
_SHUFFLED = _FLOAT32 | {"input.val_split": "few", "training.sample_images": "0"}
_BARE = _SHUFFLED | {"input.shuffle_buffer_examples": "64"}
ROWS: list[tuple[str, int, dict[str, str]]] = [
    (f"+ model, optimizer, graphs: {FEW_STEPS} steps, examples not shuffled", FEW_STEPS, _BARE),
    (f"+ {STEPS} steps", STEPS, _BARE),
    ("+ examples shuffled, all 30,000 at hand", STEPS, _SHUFFLED),
    ("+ validation of 1,000 photographs, captions of 6", STEPS, _FLOAT32),
    ("+ matrix products in bfloat16: the configuration as it is", STEPS, {}),
]
"""What is added, the number of steps, and what differs from the configuration."""


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 1
    """Runs of each row; the largest peak is shown."""


def command(folder: Path, workdir: Path, num_steps: int, fields: dict[str, str]) -> list[str]:
    """Returns the command that trains so many steps and then validates."""
    epochs = num_steps * BATCH_SIZE / (IMAGES["train"] * CAPTIONS_PER_IMAGE)
    fields = {"training.num_epochs": f"{epochs}", "training.eval_every_epochs": "1000"} | fields
    return [
        *(sys.executable, "-m", "im2txt.train", "--config=flickr8k", *ENCODER_FLAGS),
        f"--config.input.data_dir={folder}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in fields.items()),
    ]


def main() -> None:
    """Draws the shards, measures, prints."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "features")
        write_feature_shards(folder, IMAGES, VOCAB_SIZE, FEATURE_SIZE)
        print(f"\nPeak memory of training on features, batch {BATCH_SIZE}, {os.cpu_count()} cores")
        before = run_measured([sys.executable, "-c", "import im2txt.training.training_run"]).ru_maxrss / 1024
        print(f"{'TensorFlow, Keras and this project, imported':<72} {before:6.0f} MiB")
        for name, num_steps, fields in ROWS:
            peaks = []
            for _ in range(flags.rounds):
                with tempfile.TemporaryDirectory(dir=scratch) as empty:
                    of_run = command(folder, Path(empty, "run"), num_steps, fields)
                    peaks.append(run_measured(of_run).ru_maxrss / 1024)
            print(f"{name:<72} {max(peaks):6.0f} MiB  {max(peaks) - before:+6.0f}", flush=True)
            before = max(peaks)


if __name__ == "__main__":
    command_line.run(main)
