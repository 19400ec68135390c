"""Trains a captioner on a folder of shards.

python -m im2txt.train --config=flickr8k --workdir=/tmp/run --config.input.data_dir=/tmp/shards
"""

from __future__ import annotations

import dataclasses
import os
import re

from im2txt.configuration import ExperimentConfig
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line, tensorflow_startup
from im2txt.training.cluster import read_cluster


@dataclasses.dataclass(frozen=True)
class TrainFlags:
    """Flags of the command."""

    config: ExperimentConfig
    workdir: str
    """Folder of the run: checkpoints, metrics.jsonl, TensorBoard. A run that is there already goes on."""
    profile_steps: str = ""
    """Steps whose times and memory are put into TensorBoard's profile, as 100:110 for the ten after the hundredth."""

    def __post_init__(self) -> None:
        self.profiled()

    def profiled(self) -> tuple[int, int] | None:
        """Returns the number of the step before the first that is profiled and of the last; None for no profile."""
        if not self.profile_steps:
            return None
        match = re.fullmatch(r"(\d+):(\d+)", self.profile_steps)
        if not match or int(match[1]) >= int(match[2]):
            raise ValueError(f"--profile_steps={self.profile_steps!r} is no range of steps, such as 100:110.")
        return int(match[1]), int(match[2])


def main() -> None:
    """Parses the flags and trains."""
    flags = command_line.parse_with_config(TrainFlags, __doc__)
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    data = flags.config.input
    if not data.data_dir:
        raise ValueError("input.data_dir is empty. Name the folder of shards: --config.input.data_dir=...")
    folder = ShardFolder.open(data.data_dir)
    for split in (data.train_split, data.val_split):
        folder.shard_paths(split)
    command_line.check_can_be_folder("workdir", flags.workdir)
    distribution = flags.config.training.distribution
    if distribution == "multi_worker" or os.environ.get("TF_CONFIG"):
        workers = len(read_cluster(os.environ).addresses)
        if workers > 1 and distribution in ("one_device", "mirrored"):
            raise ValueError(
                f"TF_CONFIG names {workers} workers, and training.distribution={distribution} is for one. Give "
                "--config.training.distribution=multi_worker, or take TF_CONFIG out of the environment."
            )
    tensorflow_startup.start_tensorflow()
    from im2txt.training.training_run import train

    checkpoint = train(flags.config, flags.workdir, flags.profiled())
    print(f"Best checkpoint: {checkpoint}")


if __name__ == "__main__":
    command_line.run(main)
