"""Drawn scenes: their content, their pictures, their captions, the splits."""

import io
import math
import random
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_prep.scenes import random_scenes, scene_captions, scene_images

Drawing = tuple[random_scenes.Scene, list[str], bytes]


@pytest.fixture(scope="module")
def drawn() -> list[Drawing]:
    """300 scenes with their captions and JPEG bytes."""
    drawings = []
    for index in range(300):
        rng = random_scenes.scene_random(5, index)
        scene = random_scenes.random_scene(rng)
        drawings.append((scene, scene_captions.write_captions(scene, rng), scene_images.encode_jpeg(scene, rng)))
    return drawings


def pixels_of(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)), np.float64)


def test_every_word_of_the_tables_occurs(drawn: list[Drawing]) -> None:
    shapes = [shape for scene, _, _ in drawn for shape in scene.shapes]
    assert {s.shape for s in shapes} == set(random_scenes.SHAPES)
    assert {s.colour for s in shapes} == set(random_scenes.COLOURS)
    assert {s.size for s in shapes} == set(random_scenes.SIZES)
    assert {s.position for s in shapes} == set(random_scenes.POSITIONS)
    assert {scene.background for scene, _, _ in drawn} == set(random_scenes.BACKGROUNDS)
    assert {len(scene.shapes) for scene, _, _ in drawn} == {1, 2}


def test_positions_and_sizes_are_true_of_the_pixels(drawn: list[Drawing]) -> None:
    for scene, _, _ in drawn:
        for shape in scene.shapes:
            # Places are thirds of the picture; a shape in the middle is far from all borders.
            assert {
                "left": shape.x < 22,
                "right": shape.x > 42,
                "top": shape.y < 22,
                "bottom": shape.y > 42,
                "centre": max(abs(shape.x - 32), abs(shape.y - 32)) < 10,
            }[shape.position]
            assert shape.radius < 10 if shape.size == "small" else shape.radius > 11
            assert shape.radius <= min(shape.x, shape.y, 64 - shape.x, 64 - shape.y)


def test_two_shapes_never_touch(drawn: list[Drawing]) -> None:
    for scene, _, _ in drawn:
        if len(scene.shapes) == 2:
            first, second = scene.shapes
            assert math.dist((first.x, first.y), (second.x, second.y)) > first.radius + second.radius
            assert (first.position, second.position) in (("left", "right"), ("top", "bottom"))
            assert (first.shape, first.colour) != (second.shape, second.colour)


def test_every_outline_lies_within_its_circle_and_covers_its_middle() -> None:
    for shape in random_scenes.SHAPES:
        reach = max(math.hypot(x, y) for x, y in scene_images.OUTLINES[shape])
        assert reach < (1.08 if shape == "moon" else 1.005), shape
        whole = random_scenes.Shape(shape, "red", "small", "centre", 32, 32, 7.0)
        mask = scene_images._coverage(whole, 0.0)
        assert mask[32, 32] == 1, shape
        assert mask[0].max() == mask[:, 0].max() == 0


def test_the_pixels_at_a_shapes_middle_have_its_colour(drawn: list[Drawing]) -> None:
    for scene, _, jpeg in drawn:
        pixels = pixels_of(jpeg)
        for shape in scene.shapes:
            x, y = int(shape.x), int(shape.y)
            seen = pixels[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))
            nearest = min(scene_images.TONES, key=lambda colour: math.dist(scene_images.TONES[colour], seen))
            assert nearest == shape.colour, scene


def test_a_shape_covers_the_area_of_its_outline() -> None:
    shape = random_scenes.Shape("square", "red", "large", "centre", 32, 32, 14.0)
    with_shape = pixels_of(scene_images.encode_jpeg(random_scenes.Scene((shape,), "plain"), random.Random(3)))
    # The corners lie at +-0.7 radii, whatever the tilt.
    reddish = (with_shape[..., 0] > 150) & (with_shape[..., 1:].max(axis=-1) < 110)
    assert reddish.sum() == pytest.approx((2 * 0.7 * 14) ** 2, rel=0.1)


@pytest.mark.parametrize("kind", ["striped", "checked", "shaded"])
def test_patterns_show_and_plain_backgrounds_are_plain(kind: str) -> None:
    def spread(background: str) -> float:
        pixels = pixels_of(scene_images.encode_jpeg(random_scenes.Scene((), background), random.Random(8)))
        blocks = pixels[:, :, 1].reshape(16, 4, 16, 4).mean(axis=(1, 3))  # Averages the noise away.
        return float(blocks.std())

    assert spread("plain") < 4
    assert spread(kind) > 6


def test_the_same_seed_gives_the_same_bytes_and_a_larger_set_begins_with_the_smaller(drawn: list[Drawing]) -> None:
    for index in (299, 0, 7):
        rng = random_scenes.scene_random(5, index)
        scene = random_scenes.random_scene(rng)
        assert (scene, scene_captions.write_captions(scene, rng), scene_images.encode_jpeg(scene, rng)) == drawn[index]
    other = random_scenes.random_scene(random_scenes.scene_random(6, 0))
    assert other != drawn[0][0]


def test_scenes_of_the_same_content_share_a_split_whatever_their_pixels(drawn: list[Drawing]) -> None:
    split_of_content: dict[tuple[tuple[str, ...], ...], str] = {}
    for index in range(3000):
        scene = random_scenes.random_scene(random_scenes.scene_random(9, index))
        look = tuple((s.size, s.colour, s.shape, s.position) for s in scene.shapes)
        assert split_of_content.setdefault(look, random_scenes.split_of(scene, 9)) == random_scenes.split_of(scene, 9)
    shares = [
        list(split_of_content.values()).count(split) / len(split_of_content) for split in ("train", "val", "test")
    ]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.03)
    assert any(random_scenes.split_of(scene, 9) != random_scenes.split_of(scene, 10) for scene, _, _ in drawn)


# What follows reads captions with a grammar of its own, not with the tables that wrote them.
SHAPE = "circle|square|triangle|star|cross|moon"
COLOUR = "red|orange|yellow|green|cyan|blue|purple|pink|brown|white|black"
PHRASES = (
    rf"an? (?:(?P<size>small|little|large|big) )?(?P<colour>{COLOUR}) (?P<shape>{SHAPE})",
    rf"(?P<size>)the (?P<shape>{SHAPE})(?: (?:on|at|near|in) the \w+(?: side)?)? is (?P<colour>{COLOUR})",
    rf"(?P<size>)a (?P<shape>{SHAPE}) in (?P<colour>{COLOUR})",
)
PLACE = {
    "left": r"on the left( side)?",
    "right": r"on the right( side)?",
    "top": r"(at|near) the top",
    "bottom": r"(at|near) the bottom",
    "centre": r"in the (middle|centre)",
}
SIZE = {"small": "small", "little": "small", "large": "large", "big": "large"}


def mentions(caption: str) -> list[dict[str, Any]]:
    found = [match for phrase in PHRASES for match in re.finditer(phrase, caption)]
    return [match.groupdict() | {"at": match.start()} for match in sorted(found, key=re.Match.start)]


def matching(mention: dict[str, Any], scene: random_scenes.Scene) -> list[random_scenes.Shape]:
    return [
        shape
        for shape in scene.shapes
        if (shape.shape, shape.colour) == (mention["shape"], mention["colour"])
        and SIZE.get(mention["size"], shape.size) == shape.size
    ]


def test_captions_name_only_shapes_that_are_there(drawn: list[Drawing]) -> None:
    for scene, captions, _ in drawn:
        for caption in captions:
            named = mentions(caption)
            assert len(named) == len(re.findall(SHAPE, caption)) >= 1, caption
            assert all(len(matching(mention, scene)) == 1 for mention in named), (caption, scene)


def test_captions_tell_places_and_backgrounds_truly(drawn: list[Drawing]) -> None:
    for scene, captions, _ in drawn:
        for caption in captions:
            for kind in random_scenes.BACKGROUNDS:
                assert kind not in caption or kind == scene.background, (caption, scene)
            # A place belongs to the shape named before it, or to the first one where it opens the caption.
            for position, pattern in PLACE.items():
                for place in re.finditer(pattern, caption):
                    named = mentions(caption)
                    owner = [m for m in named if m["at"] < place.start()][-1:] or named[:1]
                    assert matching(owner[0], scene)[0].position == position, (caption, scene)


def test_captions_relate_two_shapes_truly(drawn: list[Drawing]) -> None:
    relations = {
        r"left of an? (?!\w+ picture)": lambda a, b: a.x < b.x,
        r"right of an? (?!\w+ picture)": lambda a, b: a.x > b.x,
        r"above|over": lambda a, b: a.y < b.y,
        r"below an? |under": lambda a, b: a.y > b.y,
        r"on its right": lambda a, b: a.x < b.x,
        r"below it": lambda a, b: a.y < b.y,
    }
    seen = set()
    for scene, captions, _ in drawn:
        for caption in captions:
            for pattern, holds in relations.items():
                if re.search(pattern, caption):
                    seen.add(pattern)
                    assert holds(*(matching(mention, scene)[0] for mention in mentions(caption))), (caption, scene)
    assert seen == set(relations)


def test_a_scene_has_five_different_wordings_some_of_them_partial(drawn: list[Drawing]) -> None:
    partial = 0
    for scene, captions, _ in drawn:
        frames = [re.sub(f"{COLOUR}|{SHAPE}|small |little |large |big |an?", "", caption) for caption in captions]
        assert len(set(captions)) == 5
        assert len(set(frames)) >= 4, captions
        partial += len(scene.shapes) == 2 and any(len(mentions(caption)) == 1 for caption in captions)
    assert partial > 50


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("A small red circle, on the left.", [("circle", "red")]),
        ("the circle on the left is red and a blue square", [("circle", "red"), ("square", "blue")]),
        ("a star in blue", [("star", "blue")]),
        ("a star in the middle is blue", [("star", "blue")]),
        ("a red big circle", [("circle", None)]),
        ("a circle and a red square", [("circle", None), ("square", "red")]),
        ("a red circle is blue", [("circle", "red")]),
        ("red and blue", []),
        ("circles in red", []),
        ("", []),
    ],
)
def test_named_shapes_takes_the_colour_before_or_the_one_stated_after(
    caption: str, named: list[tuple[str, str | None]]
) -> None:
    assert scene_captions.named_shapes(caption) == named


def test_every_written_caption_is_read_back(drawn: list[Drawing]) -> None:
    for _, captions, _ in drawn:
        for caption in captions:
            expected = [(mention["shape"], mention["colour"]) for mention in mentions(caption)]
            assert scene_captions.named_shapes(caption) == expected, caption
