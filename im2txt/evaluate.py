"""Scores a run on a split: perplexity per word, captions by beam search, BLEU-1..4, ROUGE-L and CIDEr-D.

python -m im2txt.evaluate --workdir=/tmp/run --split=test

Writes to WORKDIR/evaluation/SPLIT: captions.json (COCO results), candidates.json (every beam), scores.json.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from im2txt.configuration import DecodingConfig
from im2txt.system import command_line


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """Flags of the command."""

    workdir: str
    """Folder of the run; its best checkpoint is scored."""
    split: str = "test"
    """Split to be scored."""
    data_dir: str = ""
    """Folder of shards, of photographs or features; empty takes the run's own."""
    output_dir: str = ""
    """Folder of the results; empty takes WORKDIR/evaluation/SPLIT."""
    beam_size: int | None = None
    """Partial captions kept at each word; None takes the run's configuration."""
    max_caption_length: int | None = None
    """Most words of a caption, `<S>` and `</S>` included; None takes the run's configuration."""
    length_normalization_factor: float | None = None
    """Complete captions are ranked by log probability over length to this power; None takes the run's configuration."""
    batch_size: int = 32
    """Photographs per batch."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: must be at least 1.")
        DecodingConfig(**self.decoding())  # Checks the ranges before any work.

    def decoding(self) -> dict[str, Any]:
        """Returns the fields of `DecodingConfig` that were given."""
        names = ("beam_size", "max_caption_length", "length_normalization_factor")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def main() -> None:
    """Parses the flags, scores the run, prints the scores."""
    flags = command_line.parse(EvaluateFlags, __doc__)
    from im2txt.inference.scoring import score_run  # Deferred: flags are checked before TensorFlow loads.

    output_dir = flags.output_dir or os.path.join(flags.workdir, "evaluation", flags.split)
    result = score_run(flags.workdir, flags.split, output_dir, flags.data_dir, flags.batch_size, flags.decoding())
    floor, human = result["floor"]["scores"], result["human"]["scores"]
    print(f"{flags.split}, {result['num_images']} photographs, step {result['step']}, beam {result['beam_size']}")
    print(f"perplexity {result['perplexity']:.3f} per word")
    print(f"{'':24}{'this run':>10}{'constant':>10}{'human':>10}")
    for name, value in result["scores"].items():
        context = "".join(f"{scores[name]:10.4f}" if name in scores else " " * 10 for scores in (floor, human))
        print(f"{name:24}{value:10.4f}{context}")
    print(f"constant: {result['floor']['caption']!r} for every photograph; human: one reference against the others")
    print(f"Results in {output_dir}")


if __name__ == "__main__":
    command_line.run(main)
