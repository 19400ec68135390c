"""What people might say of a scene, and which shapes a caption names.

Captions are true but not complete: some speak of one shape of two, some leave out the size or the place.
"""

from __future__ import annotations

import itertools
import random
import re

from data_prep.scenes.random_scenes import COLOURS, SHAPES, Scene, Shape

CAPTIONS_PER_SCENE = 5

_SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
_PLACES = {
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top", "near the top"),
    "bottom": ("at the bottom", "near the bottom"),
    "centre": ("in the middle", "in the centre"),
}
# How the first shape of two lies to the second, and the second to the first.
_RELATIONS = {
    "left": (("to the left of", "left of"), ("to the right of", "right of"), "on its right"),
    "top": (("above", "over"), ("below", "under"), "below it"),
}

_ONE_SHAPE = (
    "{a} {place}",
    "there is {a} {place} of the picture",
    "{a} on a {background} background",
    "the {shape} {place} is {colour}",
    "a {shape} in {colour}",
    "{a} and nothing else",
    "{a} {place} of a {background} picture",
    "{place} , {a}",
)
_TWO_SHAPES = (
    "{a} {relation} {b}",
    "{b} {converse} {a}",
    "{b} , {converse} {a}",
    "{a} and {b}",
    "{a} next to {b}",
    "{a} with {b} {behind}",
    "{a} {place} and {b} {other_place}",
    "{a} and {b} on a {background} background",
    "the {shape} is {colour} and the {other_shape} is {other_colour}",
    "{a} {place}",
    "{b} {other_place}",
)


def write_captions(scene: Scene, rng: random.Random) -> list[str]:
    """Returns five captions of a scene, each of another wording."""
    wordings = _ONE_SHAPE if len(scene.shapes) == 1 else _TWO_SHAPES
    return [_fill(wording, scene, rng) for wording in rng.sample(wordings, CAPTIONS_PER_SCENE)]


def _fill(wording: str, scene: Scene, rng: random.Random) -> str:
    first, last = scene.shapes[0], scene.shapes[-1]
    words = {
        "a": _noun_phrase(first, rng),
        "shape": first.shape,
        "colour": first.colour,
        "place": rng.choice(_PLACES[first.position]),
        "background": scene.background,
    }
    if first is not last:
        relations, converses, behind = _RELATIONS[first.position]
        words |= {
            "b": _noun_phrase(last, rng),
            "other_shape": last.shape,
            "other_colour": last.colour,
            "other_place": rng.choice(_PLACES[last.position]),
            "relation": rng.choice(relations),
            "converse": rng.choice(converses),
            "behind": behind,
        }
    return wording.format(**words)


def _noun_phrase(shape: Shape, rng: random.Random) -> str:
    """Names a shape with its colour and, half of the time, its size."""
    size = [rng.choice(_SIZE_WORDS[shape.size])] if rng.random() < 0.5 else []
    words = [*size, shape.colour, shape.shape]
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])


def named_shapes(caption: str) -> list[tuple[str, str | None]]:
    """Returns the (shape, colour) pairs that a caption names, in its order.

    A shape's colour is the word right before it ("a red circle"); failing that, the first one right after "is" or "in"
    before the next shape ("the circle on the left is red"); failing that, None.
    """
    words = re.findall(r"[a-z]+", caption.lower())
    places = [place for place, word in enumerate(words) if word in SHAPES]
    named = []
    for place, following in itertools.pairwise([*places, len(words)]):
        before, after = words[max(place - 1, 0) : place], words[place + 1 : following]
        named.append((words[place], _colour_of(before, after)))
    return named


def _colour_of(before: list[str], after: list[str]) -> str | None:
    stated = (word for verb, word in itertools.pairwise(after) if verb in ("is", "in"))
    return next((word for word in (*before, *stated) if word in COLOURS), None)
