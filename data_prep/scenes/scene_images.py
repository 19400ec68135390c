"""Pictures of scenes: anti-aliased shapes in varying tones, over noisy backgrounds, as JPEG."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw

from data_prep.scenes.random_scenes import IMAGE_SIZE, Scene, Shape

# The middle of each colour's tones; backgrounds keep to dull tones of middle brightness, so that every colour shows.
TONES = {
    "red": (215, 30, 35),
    "orange": (245, 135, 15),
    "yellow": (245, 225, 45),
    "green": (40, 160, 60),
    "cyan": (60, 210, 225),
    "blue": (35, 70, 215),
    "purple": (140, 40, 175),
    "pink": (250, 150, 195),
    "brown": (115, 65, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
_TONE_JITTER = 18
_BACKGROUND_BRIGHTNESS = (95, 175)
_BACKGROUND_TINT = 22
_MAX_TILT_DEGREES = 14
_NOISE = 9.0  # Standard deviation, of 255.
_OVERSAMPLING = 4
_JPEG_QUALITY = 90

_ROWS, _COLUMNS = np.mgrid[0:IMAGE_SIZE, 0:IMAGE_SIZE].astype(np.float32)


def encode_jpeg(scene: Scene, rng: random.Random) -> bytes:
    """Draws a scene and returns the bytes of its JPEG file, 64 x 64 pixels; the same `rng` gives the same bytes."""
    image = _background(scene.background, rng)
    for shape in scene.shapes:
        tone = np.asarray([c + rng.uniform(-_TONE_JITTER, _TONE_JITTER) for c in TONES[shape.colour]], np.float32)
        coverage = _coverage(shape, math.radians(rng.uniform(-_MAX_TILT_DEGREES, _MAX_TILT_DEGREES)))[..., np.newaxis]
        image = image * (1 - coverage) + tone * coverage
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(image.shape, np.float32)
    pixels = np.clip(np.rint(image + _NOISE * noise), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _background(kind: str, rng: random.Random) -> np.ndarray:
    """Returns float32 [64, 64, 3]: two dull tones, mixed by the kind's pattern."""
    angle, period, phase = rng.uniform(0, 2 * math.pi), rng.uniform(7, 14), rng.uniform(0, 2 * math.pi)
    along = _COLUMNS * math.cos(angle) + _ROWS * math.sin(angle)
    across = _ROWS * math.cos(angle) - _COLUMNS * math.sin(angle)
    if kind == "striped":
        mix = np.sin(along * (2 * math.pi / period) + phase) > 0
    elif kind == "checked":
        mix = (np.sin(along * (math.pi / period) + phase) > 0) ^ (np.sin(across * (math.pi / period)) > 0)
    elif kind == "shaded":
        mix = (along - along.min()) / np.ptp(along)
    else:
        mix = np.zeros_like(along)
    brightness = rng.uniform(*_BACKGROUND_BRIGHTNESS)
    # Patterns must show: the second tone is at least 30 levels away, on the side that has room.
    low, high = _BACKGROUND_BRIGHTNESS
    change = rng.uniform(30, 60) * (1 if brightness < (low + high) / 2 else -1)
    first, second = (
        np.asarray([level + rng.uniform(-_BACKGROUND_TINT, _BACKGROUND_TINT) for _ in range(3)], np.float32)
        for level in (brightness, brightness + change)
    )
    weight = mix.astype(np.float32)[..., np.newaxis]
    return np.asarray(first * (1 - weight) + second * weight)


def _coverage(shape: Shape, tilt: float) -> np.ndarray:
    """Returns float32 [64, 64] in [0, 1]: the part of each pixel that the shape covers."""
    scale = shape.radius * _OVERSAMPLING
    cos, sin = math.cos(tilt) * scale, math.sin(tilt) * scale
    x, y = shape.x * _OVERSAMPLING, shape.y * _OVERSAMPLING
    corners = [(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in OUTLINES[shape.shape]]
    side = IMAGE_SIZE * _OVERSAMPLING
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return np.asarray(mask.reduce(_OVERSAMPLING), np.float32) / 255


def _circle_corners(corners: int = 48) -> list[tuple[float, float]]:
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [(0.9 * math.cos(a), 0.9 * math.sin(a)) for a in angles]


def _star_corners() -> list[tuple[float, float]]:
    radii = (1.0, 0.42) * 5
    return [(r * math.sin(math.pi * i / 5), -r * math.cos(math.pi * i / 5)) for i, r in enumerate(radii)]


def _moon_corners(corners: int = 24) -> list[tuple[float, float]]:
    """A disc less another one to its right; shrunk and shifted so that (0, 0) lies in the body."""
    bulge = [math.pi * (0.3 + 1.4 * i / corners) for i in range(corners + 1)]
    outer = [(0.9 * math.cos(a), 0.9 * math.sin(a)) for a in bulge]
    # The hollow's circle goes through both tips.
    middle, (tip_x, tip_y) = 0.45, outer[0]
    radius, reach = math.hypot(tip_x - middle, tip_y), math.atan2(tip_y, tip_x - middle)
    back = [2 * math.pi - reach + (2 * reach - 2 * math.pi) * i / corners for i in range(1, corners)]
    inner = [(middle + radius * math.cos(a), radius * math.sin(a)) for a in back]
    return [(0.85 * (x + 0.5), 0.85 * y) for x, y in outer + inner]


# Corners around (0, 0), x to the right and y down; within the unit circle, save for the moon's tips.
OUTLINES = {
    "circle": _circle_corners(),
    "square": [(-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)],
    "triangle": [(0.0, -1.0), (0.87, 0.5), (-0.87, 0.5)],
    "star": _star_corners(),
    "cross": [(-0.28, -0.95), (0.28, -0.95), (0.28, -0.28), (0.95, -0.28), (0.95, 0.28), (0.28, 0.28),
              (0.28, 0.95), (-0.28, 0.95), (-0.28, 0.28), (-0.95, 0.28), (-0.95, -0.28), (-0.28, -0.28)],
    "moon": _moon_corners(),
}  # fmt: skip
