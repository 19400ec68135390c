"""Turns NeuralTalk's data, features that came without photographs, into feature shards.

    python -m data_prep.import_features --dataset_file=dataset.json --features_file=vgg_feats.mat --output_dir=/tmp/nt

Splits, vocabulary and captions are made as `build_shards karpathy` makes them. Column i of the matrix `feats` are the
features of the i-th photograph of dataset.json. Train with --config.encoder.backbone=vgg_feats.mat, the file's name.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import tyro

from data_prep.building import build_report
from data_prep.building.build_plan import BuildOptions
from data_prep.building.neuraltalk_data import NeuraltalkData
from data_prep.building.planned_captions import CaptionOptions
from data_prep.building.shard_plan import ShardOptions
from data_prep.building.skips import SkipOptions
from data_prep.building.splits import SplitOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from im2txt.system import command_line, tensorflow_startup


@dataclasses.dataclass(frozen=True)
class ImportFeaturesFlags:
    """Flags of the command."""

    data: Annotated[tyro.conf.OmitArgPrefixes[NeuraltalkData], tyro.conf.arg(name="")]
    output_dir: str
    """Folder of the feature shards, local or remote; an interrupted run goes on there."""
    captions: Annotated[tyro.conf.OmitArgPrefixes[CaptionOptions], tyro.conf.arg(name="")] = CaptionOptions()
    splits: Annotated[tyro.conf.OmitArgPrefixes[SplitOptions], tyro.conf.arg(name="")] = SplitOptions()
    vocabulary: Annotated[tyro.conf.OmitArgPrefixes[VocabularyOptions], tyro.conf.arg(name="")] = VocabularyOptions()
    shards: Annotated[tyro.conf.OmitArgPrefixes[ShardOptions], tyro.conf.arg(name="")] = ShardOptions()
    skips: Annotated[tyro.conf.OmitArgPrefixes[SkipOptions], tyro.conf.arg(name="")] = SkipOptions()


def main() -> None:
    """Parses the flags, builds, prints the summary."""
    flags = command_line.parse(ImportFeaturesFlags, __doc__ or "")
    command_line.check_can_be_folder("output_dir", flags.output_dir)
    start = time.monotonic()
    tensorflow_startup.start_tensorflow()
    from data_prep.building.given_features import build_given_features

    options = BuildOptions(
        captions=flags.captions,
        splits=flags.splits,
        vocabulary=flags.vocabulary,
        shards=flags.shards,
        skips=flags.skips,
    )
    result = build_given_features(flags.data, flags.output_dir, options)
    print(build_report.describe_build(result, flags.output_dir, time.monotonic() - start))


if __name__ == "__main__":
    command_line.run(main)
