"""Captions files of photographs: shards of this project, TFRecords of tf.Example, tar files of WebDataset.

    python -m im2txt.batch_inference --workdir=/tmp/run --output_dir=/tmp/captions '/data/photographs-*.tar' /tmp/shards
    python -m im2txt.evaluate --results=/tmp/captions --references=captions_val2014.json

Writes one file of captions for each input, one row for each photograph in its order; one that cannot be used is a row
with its reason. When all are there, captions.json holds the best captions as COCO results (of the format jsonl, where
ids are whole numbers), and captions_manifest.json, written last, says what was done. An interrupted command goes on
where it was when it is given again, to the same bytes, on one process, many, or Spark. The exit status is 1 if a
photograph could not be captioned. docs/batch_inference.md says what a million photographs take.
"""

from __future__ import annotations

import dataclasses
import glob
import os
from typing import Annotated, Literal

import tyro

from im2txt.engines.engine_options import EngineOptions
from im2txt.inference.caption_folder import caption_files
from im2txt.inference.caption_model import Model
from im2txt.inference.caption_plan import MANIFEST_NAME
from im2txt.runs.run_files import read_run_config
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line, storage
from im2txt.system.decoding_flags import DECODING, DecodingFlags


@dataclasses.dataclass(frozen=True)
class BatchInferenceFlags:
    """Flags of the command."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Files of photographs, globs, or folders of shards; a folder gives all of its shards. A file is a tar file if its
    name ends in .tar, and a TFRecord otherwise. A folder of features of the run's encoder is named alone."""
    workdir: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """Folder of the run whose best checkpoint writes the captions; given again, the mean of the runs does."""
    output_dir: str
    """Folder of the captions, local or remote; made if need be."""
    output_format: Literal["jsonl", "tfrecord"] = "jsonl"
    """One JSON object a line, or tf.Example with image/image_id, image/captions and image/log_probs or image/error."""
    decoding: DECODING = DecodingFlags()
    batch_size: int = 32
    """Photographs computed with at once."""
    num_threads: int = 1
    """TensorFlow's threads in each worker: times the workers, no more than there are cores. A folder is finished with
    the number that it was begun with."""
    engine: Annotated[tyro.conf.OmitArgPrefixes[EngineOptions], tyro.conf.arg(name="")] = EngineOptions()

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name}={getattr(self, name)} must be at least 1.")
        if not self.inputs:
            raise ValueError("No input was named: files of photographs, globs, or folders of shards.")
        if not self.workdir:
            raise ValueError("--workdir is required: the folder of a run.")


def find_files(inputs: tuple[str, ...]) -> tuple[list[str], str]:
    """Returns the files that paths, globs and folders of shards name, and the folder if it is one of features.

    Returns:
        The files, each once, in order; and the path of the folder of features, or an empty string.

    Raises:
        FileNotFoundError: if one of them matches nothing, or a folder lacks shards.
        ValueError: if a shard is not the one of its folder's manifest, or features are not named alone.
    """
    paths: list[str] = []
    for name in inputs:
        if os.path.isdir(name) or (storage.is_remote(name) and storage.exists(storage.join(name, "manifest.json"))):
            folder = ShardFolder.open(name)
            found = [path for split in folder.manifest.splits for path in folder.check_shards(split)]
            if folder.manifest.encoder is not None and len(inputs) > 1:
                raise ValueError(f"{name} holds features. Caption it alone, into an --output_dir of its own.")
            if folder.manifest.encoder is not None:
                return found, name
        elif storage.is_remote(name):
            found = [name] if storage.exists(name) else []
        else:
            found = [name] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))
        if not found:
            raise FileNotFoundError(f"No file matches {name!r}.")
        paths += found
    return list(dict.fromkeys(paths)), ""


def main() -> int:
    """Parses the flags, captions, prints the totals; returns 1 if a photograph could not be captioned."""
    flags = command_line.parse(BatchInferenceFlags, __doc__ or "")
    configs = [read_run_config(workdir) for workdir in flags.workdir]
    decoding = flags.decoding.given()
    configs[0].decoding.replaced(decoding)
    command_line.check_can_be_folder("output_dir", flags.output_dir)
    paths, features_dir = find_files(flags.inputs)
    # TensorFlow is loaded by the jobs, after all else is checked.
    model = Model(flags.workdir, tuple(decoding.items()), flags.batch_size, flags.num_threads, features_dir)
    manifest = caption_files(paths, flags.output_dir, flags.output_format, model, flags.engine.make())
    failed = sum(manifest["errors"].values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in manifest["errors"].items())
    repeated = manifest.get("repeated_ids", 0)
    print(
        f"{manifest['photographs'] - failed:,} of {manifest['photographs']:,} photographs of {len(paths)} files "
        f"captioned{f'; not captioned: {reasons}' if failed else ''}"
        f"{f'; {repeated:,} have an id that came before' if repeated else ''}. "
        f"{storage.join(flags.output_dir, MANIFEST_NAME)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    command_line.run(main)
