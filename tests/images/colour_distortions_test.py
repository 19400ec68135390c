"""Tests of changed colours: beside `tf.image`'s operations one by one, and by what may never happen to a colour."""

import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf

from im2txt.images import colour_distortions
from im2txt.images.colour_distortions import change_colours, distort_colours

NOTHING = {"brightness": 0.0, "saturation": 1.0, "hue": 0.0, "contrast": 1.0}


def change(image, contrast_last=True, **amounts):
    amounts = {name: tf.constant(value, tf.float32) for name, value in (NOTHING | amounts).items()}
    return change_colours(tf.constant(image, tf.float32), **amounts, contrast_last=contrast_last).numpy()


def one_by_one(image, brightness, saturation, hue, contrast, contrast_last):
    image = tf.image.adjust_brightness(tf.constant(image, tf.float32), brightness)
    if not contrast_last:
        image = tf.image.adjust_contrast(image, contrast)
    image = tf.image.adjust_hue(tf.image.adjust_saturation(image, saturation), hue)
    if contrast_last:
        image = tf.image.adjust_contrast(image, contrast)
    return tf.clip_by_value(image, 0, 1)


def all_colours(levels):
    """Every mixture of these levels: greys, black, white, pure and twofold colours among them."""
    return np.array(list(itertools.product(levels, repeat=3)), np.float32).reshape(len(levels), -1, 3)


@pytest.mark.parametrize("contrast_last", [True, False])
@pytest.mark.parametrize("brightness", [-32 / 255, 0.0, 32 / 255])
def test_one_pass_gives_what_the_operations_give_one_by_one(brightness, contrast_last):
    image = all_colours(np.linspace(0, 1, 9))
    for saturation, hue, contrast in itertools.product((0.5, 1.0, 1.5), (-0.032, 0.011, 1 / 6), (0.5, 1.5)):
        amounts = (brightness, saturation, hue, contrast)
        actual = change(image, contrast_last, **dict(zip(NOTHING, amounts, strict=True)))
        np.testing.assert_allclose(actual, one_by_one(image, *amounts, contrast_last), atol=5e-6)


def test_saturation_and_hue_are_those_of_hsv():
    image = np.random.default_rng(0).uniform(0.01, 1, (20, 30, 3))
    expected = np.empty_like(image)
    for place in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
        expected[place] = colorsys.hsv_to_rgb((hue + 0.03) % 1, min(1, saturation * 1.4), value)
    np.testing.assert_allclose(change(image, saturation=1.4, hue=0.03), expected, atol=5e-6)


def test_nothing_asked_for_changes_nothing():
    image = all_colours((0.0, 0.2, 0.7, 1.0))
    for contrast_last in (True, False):
        np.testing.assert_allclose(change(image, contrast_last), image, atol=1e-6)


def test_a_plain_grey_takes_brightness_alone():
    image = np.full((4, 5, 3), 0.5)
    actual = change(image, brightness=0.1, saturation=1.5, hue=0.03, contrast=0.5)
    np.testing.assert_allclose(actual, np.full((4, 5, 3), 0.6), atol=1e-6)


def test_amounts_cover_their_ranges_and_the_order_is_the_one_asked_for(monkeypatch):
    drawn = []

    def record(image, *amounts, contrast_last):
        drawn.append((*map(float, amounts), contrast_last))
        return image

    monkeypatch.setattr(colour_distortions, "change_colours", record)
    for position in range(120):
        seeds = tf.random.split(tf.constant([3, position], tf.int64), num=4)
        distort_colours(tf.zeros([2, 2, 3]), seeds, tf.constant(position % 3 == 0))
    *amounts, orders = np.array(drawn).T
    limits = ((-32 / 255, 32 / 255), (0.5, 1.5), (-0.032, 0.032), (0.5, 1.5))
    for values, (low, high) in zip(amounts, limits, strict=True):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high >= values.max() > high - 0.1 * (high - low)
    np.testing.assert_array_equal(orders, [position % 3 == 0 for position in range(120)])
    # None is drawn with the numbers of another.
    assert np.abs(np.corrcoef(amounts) - np.eye(4)).max() < 0.4
