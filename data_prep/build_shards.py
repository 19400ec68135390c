"""Turns photographs and captions into shards for training.

Reads a source, splits it, builds the vocabulary from the training captions, and writes TFRecord shards, the splits'
captions as COCO JSON, `word_counts.txt`, `skipped.jsonl` and, last, `manifest.json`. An interrupted build goes on
where it was when the same command is given again.

    python -m data_prep.build_shards flickr8k --images_dir=Flicker8k_Dataset --text_dir=Flickr8k_text --output_dir=out
"""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import tyro

from data_prep.building import build_report
from data_prep.building.build_plan import BuildOptions, plan_build
from data_prep.building.prepare import build
from data_prep.sources.coco import Coco
from data_prep.sources.flickr8k import Flickr8k
from data_prep.sources.flickr30k import Flickr30k
from data_prep.sources.folder import Folder
from data_prep.sources.karpathy import Karpathy
from data_prep.sources.table import Table
from data_prep.sources.tensorflow_dataset import TensorflowDataset
from im2txt.engines.engine_options import EngineOptions
from im2txt.system import command_line

AnySource = (
    Annotated[Flickr8k, tyro.conf.subcommand("flickr8k")]
    | Annotated[Flickr30k, tyro.conf.subcommand("flickr30k")]
    | Annotated[Coco, tyro.conf.subcommand("coco")]
    | Annotated[Karpathy, tyro.conf.subcommand("karpathy")]
    | Annotated[Table, tyro.conf.subcommand("table")]
    | Annotated[Folder, tyro.conf.subcommand("folder")]
    | Annotated[TensorflowDataset, tyro.conf.subcommand("tensorflow_dataset")]
)


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclasses.dataclass(frozen=True)
class BuildShardsFlags:
    """Flags of the command; those of the source follow its name."""

    source: tyro.conf.OmitSubcommandPrefixes[AnySource]
    output_dir: str
    """Folder of the shards, local or remote; made if need be."""
    options: Annotated[tyro.conf.OmitArgPrefixes[BuildOptions], tyro.conf.arg(name="")] = BuildOptions()
    engine: Annotated[tyro.conf.OmitArgPrefixes[EngineOptions], tyro.conf.arg(name="")] = EngineOptions()
    dry_run: bool = False
    """Only plan, and print the numbers."""


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, builds, prints the summary."""
    flags = command_line.parse(BuildShardsFlags, __doc__ or "", argv)
    engine = flags.engine.make()
    start = time.monotonic()
    plan = plan_build(flags.source, flags.options)
    if flags.dry_run:
        print(build_report.describe_plan(plan))
        return
    result = build(plan, flags.source, flags.output_dir, flags.options, engine)
    print(build_report.describe_build(result, flags.output_dir, time.monotonic() - start))


if __name__ == "__main__":
    command_line.run(main)
