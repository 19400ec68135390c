"""Runs a frozen encoder once over image shards and writes feature shards, which training reads instead of pixels.

python -m data_prep.cache_features --config=flickr8k --data_dir=/tmp/shards --output_dir=/tmp/features

The encoder is the configuration's; train with the same one and --config.input.data_dir=/tmp/features. Shards in layout
`image` are encoded once per photograph, those in layout `pair` once per caption.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.configuration import ExperimentConfig
from im2txt.shards.records import FeatureDtype
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class CacheFeaturesFlags:
    """Flags of the command."""

    config: ExperimentConfig
    data_dir: str
    """Folder of image shards with their manifest.json."""
    output_dir: str
    """Folder of the feature shards; an interrupted run goes on there."""
    batch_size: int = 32
    """Views of photographs per pass through the encoder."""
    views: int = 1
    """Views of each photograph of config.input.train_split: the plain one, and others cropped, flipped and recoloured
    at random. Training takes one of them each epoch."""
    feature_dtype: FeatureDtype | Literal["auto"] = "auto"
    """Type in which features are stored; auto is float16 for grids (encoder.pooling=grid) and float32 for vectors."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        if self.views < 1:
            raise ValueError(f"views={self.views}: must be at least 1.")


def main() -> None:
    """Parses the flags and writes the shards."""
    flags = command_line.parse_with_config(CacheFeaturesFlags, __doc__)
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    folder = ShardFolder.open(flags.data_dir)
    for split in folder.manifest.splits:
        folder.shard_paths(split)
    command_line.check_can_be_folder("output_dir", flags.output_dir)
    tensorflow_startup.start_tensorflow()
    from data_prep.features.feature_shards import cache_features

    config = flags.config
    result = cache_features(
        flags.data_dir,
        flags.output_dir,
        config.encoder,
        flags.batch_size,
        config.training.seed,
        flags.feature_dtype,
        flags.views,
        config.input.train_split,
    )
    images = sum(split.images for split in result.splits.values())
    shape = result.encoder.feature_shape if result.encoder else ()
    print(f"Features {list(shape)} of {images} photographs in {flags.output_dir}.")


if __name__ == "__main__":
    command_line.run(main)
