"""Turns photographs and captions into shards for training.

Reads a source, splits it, builds the vocabulary from the training captions, and writes TFRecord shards, the splits'
captions as COCO JSON, `word_counts.txt`, `skipped.jsonl`, `source.json` and, last, `manifest.json`. An interrupted
build goes on where it was when the same command is given again.

    python -m data_prep.build_shards flickr8k --images_dir=Flicker8k_Dataset --text_dir=Flickr8k_text --output_dir=out
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Union

import tyro

from data_prep.building import build_report
from data_prep.building.build_plan import BuildOptions, plan_build
from data_prep.building.prepare import prepare
from data_prep.sources.base import Source
from data_prep.sources.registry import SOURCES
from im2txt.engines.engine_options import EngineOptions
from im2txt.system import command_line

if TYPE_CHECKING:
    AnySource = Source
else:  # A type made of the registry's entries: tyro makes a subcommand of each.
    AnySource = Union[tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in SOURCES.items())]  # noqa: UP007


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
    if flags.dry_run:
        print(build_report.describe_plan(plan_build(flags.source, flags.options)))
        return
    result = prepare(flags.source, flags.output_dir, flags.options, engine)
    print(build_report.describe_build(result, flags.output_dir, time.monotonic() - start))


if __name__ == "__main__":
    command_line.run(main)
