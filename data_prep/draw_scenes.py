"""Draws a small data set to learn captioning on: coloured shapes on noisy backgrounds, five captions each.

Writes `images/*.jpg` (64 x 64 pixels) and, last, `captions.jsonl`, with one scene per line: `path`, `captions`, `split`
(train, val or test; no combination of shapes is in two of them), and the truth: `shapes` and `background`. The same
seed gives the same bytes.

    python -m data_prep.draw_scenes --output_dir=scenes
    python -m data_prep.build_shards table --table_file=scenes/captions.jsonl --path_column=path \
        --caption_columns=captions --split_column=split --output_dir=shards
"""

from __future__ import annotations

import dataclasses
import json
import os

from data_prep.scenes import random_scenes, scene_captions, scene_images
from im2txt.system import command_line, storage

CAPTIONS_NAME = "captions.jsonl"
_IMAGES_NAME = "images"


@dataclasses.dataclass(frozen=True)
class DrawScenesFlags:
    """What to draw."""

    output_dir: str
    """Local folder of the pictures and of captions.jsonl; made if need be."""
    num_scenes: int = 4000
    """Scenes over all splits: about 8 : 1 : 1 in train, val and test. More scenes of one seed begin with the fewer."""
    seed: int = 1
    """Another seed draws other scenes."""

    def __post_init__(self) -> None:
        if storage.is_remote(self.output_dir):
            raise ValueError(f"--output_dir={self.output_dir} must be a local folder.")
        if self.num_scenes < 1:
            raise ValueError(f"--num_scenes={self.num_scenes} must be at least 1.")


def draw(output_dir: str, num_scenes: int, seed: int) -> dict[str, int]:
    """Draws the scenes and writes their files; returns the number of scenes by split.

    Args:
        output_dir: local folder; made if need be. Its captions.jsonl is gone until all pictures are written.
        num_scenes: how many, at least 1.
        seed: fixes scenes, pictures and splits.

    Raises:
        OSError: if a file cannot be written.
    """
    captions_path = os.path.join(output_dir, CAPTIONS_NAME)
    images_dir = os.path.join(output_dir, _IMAGES_NAME)
    os.makedirs(images_dir, exist_ok=True)
    # Until all pictures are new, nothing may describe them.
    storage.remove(captions_path)
    lines = []
    counts = dict.fromkeys(("train", "val", "test"), 0)
    for index in range(num_scenes):
        rng = random_scenes.scene_random(seed, index)
        scene = random_scenes.random_scene(rng)
        name = f"{index:06d}.jpg"
        row = {
            "path": f"{_IMAGES_NAME}/{name}",
            "captions": scene_captions.write_captions(scene, rng),
            "split": random_scenes.split_of(scene, seed),
            **dataclasses.asdict(scene),
        }
        # Not through `storage`: waiting for the disk at each of thousands of pictures would take most of the time.
        with open(os.path.join(images_dir, name), "wb") as file:
            file.write(scene_images.encode_jpeg(scene, rng))
        counts[row["split"]] += 1
        lines.append(json.dumps(row) + "\n")
    storage.write_text(captions_path, "".join(lines))
    return counts


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, draws the scenes."""
    flags = command_line.parse(DrawScenesFlags, __doc__ or "", argv)
    counts = draw(flags.output_dir, flags.num_scenes, flags.seed)
    listed = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"{os.path.join(flags.output_dir, CAPTIONS_NAME)}: {listed} scenes.")


if __name__ == "__main__":
    command_line.run(main)
