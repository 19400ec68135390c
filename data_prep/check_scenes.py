"""Checks captions of drawn scenes against what was drawn.

Counts the captions that are right in
  shape     names at least one shape, and every shape it names is in the scene
  colour    names at least one shape, each with a colour, and every colour it names is in the scene
  both      names at least one shape, each with a colour, and every such pair is in the scene
  complete  right in both, and no shape of the scene is left out

Each shape of the scene answers for one shape of the caption only. Beside the shares stand those of the best constant
caption ("a red circle" for every scene). Writes both to scene_scores.json beside the captions.

    python -m data_prep.check_scenes --scenes=scenes/captions.jsonl --data_dir=shards \
        --captions=run/evaluation/test/captions.json
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_prep.scenes import random_scenes, scene_captions
from im2txt.shards.references import read_references
from im2txt.system import command_line, storage

OUTPUT_NAME = "scene_scores.json"
MEASURES = ("shape", "colour", "both", "complete")

Look = tuple[str, str | None]  # Shape and colour.


@dataclasses.dataclass(frozen=True)
class CheckScenesFlags:
    """What to check."""

    scenes: str
    """captions.jsonl of `draw_scenes`."""
    captions: str
    """Captions in COCO's format of results, such as captions.json of `im2txt.evaluate`."""
    data_dir: str
    """Folder of shards built from the scenes; its captions_SPLIT.json says which picture has which id."""
    split: str = "test"
    """Split of the captions."""


def judge(caption: str, looks: Sequence[Look]) -> dict[str, bool]:
    """Returns whether a caption of a scene with these shapes is right, by `MEASURES`; see the module's docstring."""
    named = scene_captions.named_shapes(caption)
    coloured = bool(named) and all(colour is not None for _, colour in named)
    both = coloured and _within(named, looks)
    return {
        "shape": bool(named) and _within((shape for shape, _ in named), (shape for shape, _ in looks)),
        "colour": coloured and _within((colour for _, colour in named), (colour for _, colour in looks)),
        "both": both,
        "complete": both and len(named) == len(looks),
    }


def _within(named: Iterable[object], there: Iterable[object]) -> bool:
    return collections.Counter(named) <= collections.Counter(there)


def shares_right(captions: Mapping[int, str], looks: Mapping[int, Sequence[Look]]) -> dict[str, float]:
    """Returns, by measure, the share of captions that are right, in [0, 1].

    Args:
        captions: at least one, by image id.
        looks: the shapes of each of these scenes, by image id.
    """
    verdicts = [judge(caption, looks[image_id]) for image_id, caption in captions.items()]
    return {measure: sum(verdict[measure] for verdict in verdicts) / len(verdicts) for measure in MEASURES}


def best_constant_shares(looks: Mapping[int, Sequence[Look]]) -> dict[str, float]:
    """Returns, by measure, the largest share that a caption of one shape gets if it is said of all scenes."""
    constants = [f"a {colour} {shape}" for shape in random_scenes.SHAPES for colour in random_scenes.COLOURS]
    shares = [shares_right(dict.fromkeys(looks, constant), looks) for constant in constants]
    return {measure: max(share[measure] for share in shares) for measure in MEASURES}


def _read_looks(path: str) -> dict[str, list[Look]]:
    """Returns the shapes of every scene by the picture's path."""
    looks = {}
    for number, line in enumerate(storage.read_text(path).splitlines(), start=1):
        try:
            row = json.loads(line)
            looks[row["path"]] = [(shape["shape"], shape["colour"]) for shape in row["shapes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: no scene of `python -m data_prep.draw_scenes`: {error!r}."
            ) from error
    return looks


def _read_captions(path: str) -> dict[int, str]:
    try:
        results = json.loads(storage.read_text(path))
        captions = {result["image_id"]: "" + result["caption"] for result in results}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not of the form [{{"image_id": 1, "caption": "..."}}]: {error!r}.') from error
    if not captions or len(captions) < len(results):
        raise ValueError(
            f"{path} holds {len(results)} captions of {len(captions)} images; needs one or more, one each."
        )
    return captions


def check(flags: CheckScenesFlags) -> dict[str, Any]:
    """Judges the captions and writes scene_scores.json; returns its content.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged, or captions, shards and scenes do not belong together.
    """
    looks_by_path = _read_looks(flags.scenes)
    captions = _read_captions(flags.captions)
    file_names = read_references(flags.data_dir, flags.split).file_names
    for image_id in captions:
        if file_names.get(image_id) not in looks_by_path:
            raise ValueError(
                f"{flags.captions}: image {image_id} is {file_names.get(image_id)!r} in split {flags.split!r} of "
                f"{flags.data_dir}, which is no picture in {flags.scenes}. Name the scenes of these shards."
            )
    looks = {image_id: looks_by_path[file_names[image_id]] for image_id in captions}
    scores: dict[str, Any] = {
        "split": flags.split,
        "num_images": len(captions),
        "right": shares_right(captions, looks),
        "best_constant": best_constant_shares(looks),
    }
    output = storage.join(os.path.dirname(flags.captions), OUTPUT_NAME)
    storage.write_text(output, json.dumps(scores, indent=1) + "\n")
    return scores


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, checks the captions, prints the shares."""
    flags = command_line.parse(CheckScenesFlags, __doc__ or "", argv)
    scores = check(flags)
    print(f"{flags.split}, {scores['num_images']} scenes: captions that are right")
    print(f"{'in':10}{'this run':>10}{'constant':>10}")
    right, constant = scores["right"], scores["best_constant"]
    for measure in MEASURES:
        print(f"{measure:10}{right[measure]:10.1%}{constant[measure]:10.1%}")


if __name__ == "__main__":
    command_line.run(main)
