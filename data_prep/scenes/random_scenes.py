"""Drawn scenes: one or two coloured shapes on a background, at random but seeded.

A scene's truth is what its captions (`scene_captions`) speak of and its picture (`scene_images`) shows. Scenes of the
same content always fall into the same split, so a held-out scene is a combination that training never saw.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random

SHAPES = ("circle", "square", "triangle", "star", "cross", "moon")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "black")
SIZES = ("small", "large")
POSITIONS = ("left", "right", "top", "bottom", "centre")
BACKGROUNDS = ("plain", "striped", "checked", "shaded")

IMAGE_SIZE = 64
_TWO_SHAPES_SHARE = 0.65
_TEST_SHARE = 0.1
_VAL_SHARE = 0.1

# Pixels. The gap between the sizes keeps the words true, the largest two shapes still do not touch.
_RADII = {"small": (8.0, 9.5), "large": (12.0, 14.0)}
_CENTRES = {
    "left": (16.0, 32.0),
    "right": (48.0, 32.0),
    "top": (32.0, 16.0),
    "bottom": (32.0, 48.0),
    "centre": (32.0, 32.0),
}
_ALONG_JITTER = {"small": 5.0, "large": 1.5}  # Towards the other shape or the border.
_ACROSS_JITTER = 10.0


@dataclasses.dataclass(frozen=True)
class Shape:
    """One shape and where it lies.

    Attributes:
        shape: one of `SHAPES`.
        colour: one of `COLOURS`.
        size: one of `SIZES`.
        position: one of `POSITIONS`; of two shapes, one is left and the other right, or one top and the other bottom.
        x: pixels from the left border to the shape's middle.
        y: pixels from the upper border to the shape's middle.
        radius: pixels; the shape lies within this circle, save for a moon's tips, which reach 8 % farther out.
    """

    shape: str
    colour: str
    size: str
    position: str
    x: float
    y: float
    radius: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """One or two shapes on a background (one of `BACKGROUNDS`); of two, the left or upper one comes first."""

    shapes: tuple[Shape, ...]
    background: str

    def content(self) -> str:
        """Names the shapes without the exact pixels or the background: what tells one scene from another."""
        return "; ".join(f"{s.size} {s.colour} {s.shape} {s.position}" for s in self.shapes)


def scene_random(seed: int, index: int) -> random.Random:
    """Returns the generator of a scene's own, so that a larger set begins with the smaller one's scenes."""
    return random.Random(f"scene {seed}/{index}")


def random_scene(rng: random.Random) -> Scene:
    """Draws a scene; two shapes of one scene differ in shape or colour."""
    if rng.random() < _TWO_SHAPES_SHARE:
        positions: tuple[str, ...] = rng.choice((("left", "right"), ("top", "bottom")))
    else:
        positions = (rng.choice(POSITIONS),)
    looks = rng.sample([(shape, colour) for shape in SHAPES for colour in COLOURS], len(positions))
    shapes = tuple(
        _random_shape(rng, shape, colour, position) for (shape, colour), position in zip(looks, positions, strict=True)
    )
    return Scene(shapes, rng.choice(BACKGROUNDS))


def _random_shape(rng: random.Random, shape: str, colour: str, position: str) -> Shape:
    size = rng.choice(SIZES)
    x, y = _CENTRES[position]
    horizontal = position in ("left", "right")
    along = _ALONG_JITTER[size]
    across = along if position == "centre" else _ACROSS_JITTER
    x += rng.uniform(-1, 1) * (along if horizontal else across)
    y += rng.uniform(-1, 1) * (across if horizontal else along)
    return Shape(shape, colour, size, position, round(x, 2), round(y, 2), round(rng.uniform(*_RADII[size]), 2))


def split_of(scene: Scene, seed: int) -> str:
    """Returns `train`, `val` or `test` (8 : 1 : 1) by a hash of the scene's content and the seed."""
    digest = hashlib.blake2b(f"{seed}/{scene.content()}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest) / 2**64
    if share < _TEST_SHARE:
        return "test"
    return "val" if share < _TEST_SHARE + _VAL_SHARE else "train"
