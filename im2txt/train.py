"""Trains a captioner on a folder of shards.

python -m im2txt.train --config=flickr8k --workdir=/tmp/run --config.input.data_dir=/tmp/shards
"""

from __future__ import annotations

import dataclasses

from im2txt.configuration import ExperimentConfig
from im2txt.system import command_line


@dataclasses.dataclass(frozen=True)
class TrainFlags:
    """Flags of the command."""

    config: ExperimentConfig
    workdir: str
    """Folder of the run: checkpoints, metrics.jsonl, TensorBoard. A run that is there already goes on."""


def main() -> None:
    """Parses the flags and trains."""
    flags = command_line.parse_with_config(TrainFlags, __doc__)
    from im2txt.training.training_loop import train  # Deferred: flags are checked before TensorFlow loads.

    checkpoint = train(flags.config, flags.workdir)
    print(f"Best checkpoint: {checkpoint}")


if __name__ == "__main__":
    command_line.run(main)
