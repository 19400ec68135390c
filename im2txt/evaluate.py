"""Scores captions: BLEU-1..4, ROUGE-L and CIDEr-D with intervals, beside a constant caption and a person's.

    python -m im2txt.evaluate --workdir=/tmp/run --split=test
    python -m im2txt.evaluate --results=captions.json --references=captions_val2014.json

The first captions a split with a run, and measures its perplexity. It writes to WORKDIR/evaluation/SPLIT: captions.json
(COCO results), candidates.json (every beam), scores.json and image_scores.json. The second scores a COCO results file
that any program made, against COCO caption annotations.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated

import tyro

from im2txt.engines.engine_options import EngineOptions
from im2txt.runs.run_files import read_run_config
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line
from im2txt.system.decoding_flags import DECODING, DecodingFlags


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """Flags of the command."""

    workdir: str = ""
    """Folder of the run; its best checkpoint is scored."""
    results: str = ""
    """COCO results file to be scored instead of a run, or a folder that im2txt.batch_inference wrote."""
    references: str = ""
    """COCO caption annotations that --results is scored against."""
    training_references: str = ""
    """COCO caption annotations whose captions count as copied, for --results; a run knows its own."""
    compare: str = ""
    """COCO results file of other captions of the same images, for a paired comparison."""
    meteor: bool = False
    """Also METEOR, a Java program that the package pycocoevalcap runs."""
    spice: bool = False
    """Also SPICE, likewise; it downloads models at its first use and wants Java 8."""
    split: str = "test"
    """Split to be captioned and scored by a run."""
    data_dir: str = ""
    """Folder of shards, of photographs or features; empty takes the run's own."""
    output_dir: str = ""
    """Folder of the scores; empty takes WORKDIR/evaluation/SPLIT, and writes nothing for --results."""
    decoding: DECODING = DecodingFlags()
    batch_size: int = 32
    """Photographs per batch."""
    num_threads: int = 0
    """TensorFlow's threads in each worker process; 0 takes all cores for one worker, one thread for each of several."""
    engine: Annotated[tyro.conf.OmitArgPrefixes[EngineOptions], tyro.conf.arg(name="")] = EngineOptions(num_workers=1)

    def __post_init__(self) -> None:
        if bool(self.workdir) == bool(self.results):
            raise ValueError("Give either --workdir, a run to be scored, or --results, captions to be scored.")
        if bool(self.results) != bool(self.references):
            raise ValueError("--results and --references belong together: captions, and what to score them against.")
        if self.training_references and not self.results:
            raise ValueError("--training_references is for --results; a run knows the captions it was trained on.")
        if self.results and (given := [*self._given_of_a_run(), *self.decoding.given()]):
            raise ValueError(f"{', '.join(given)}: --results are captions already; nothing is decoded.")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        if self.num_threads < 0:
            raise ValueError(f"num_threads={self.num_threads}: must be at least 0.")

    def _given_of_a_run(self) -> list[str]:
        """Returns the flags that say how a run captions, as far as they are not at their defaults."""
        names = ("split", "data_dir", "batch_size", "num_threads")
        given = [name for name in names if getattr(self, name) != getattr(EvaluateFlags, name)]
        return given + [name for name, value in vars(self.engine).items() if value != vars(EvaluateFlags.engine)[name]]


def main() -> None:
    """Parses the flags, scores the captions, prints the scores."""
    flags = command_line.parse(EvaluateFlags, __doc__)
    # What can be checked without TensorFlow, which takes seconds to load, is checked before.
    output_dir = flags.output_dir
    if flags.workdir:
        output_dir = output_dir or os.path.join(flags.workdir, "evaluation", flags.split)
        config = read_run_config(flags.workdir)
        config.decoding.replaced(flags.decoding.given())
        ShardFolder.open(flags.data_dir or config.input.data_dir).shard_paths(flags.split)
    if output_dir:
        command_line.check_can_be_folder("output_dir", output_dir)
    from im2txt.inference.caption_evaluation import Extras, score_results
    from im2txt.inference.score_table import score_table

    java_metrics = ("METEOR",) * flags.meteor + ("SPICE",) * flags.spice
    extras = Extras.prepare(java_metrics, flags.compare)
    if flags.results:
        result = score_results(flags.results, flags.references, output_dir, extras, flags.training_references)
        print(f"{flags.results}, {result['num_images']} images")
    else:
        from im2txt.inference.caption_model import Model
        from im2txt.inference.scoring import score_run

        threads = flags.num_threads or int(not flags.engine.is_one_process)
        model = Model((flags.workdir,), tuple(flags.decoding.given().items()), flags.batch_size, threads)
        result = score_run(model, flags.split, output_dir, flags.data_dir, flags.engine.make(), extras)
        print(f"{flags.split}, {result['num_images']} photographs, step {result['step']}, beam {result['beam_size']}")
        print(f"perplexity {result['perplexity']:.3f} per word")
    print("\n".join(score_table(result)))
    if output_dir:
        print(f"Results in {output_dir}")


if __name__ == "__main__":
    command_line.run(main)
