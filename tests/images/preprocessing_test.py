"""Tests of photographs as pixels, on pictures without loss (PNG) whose every pixel is known."""

import io
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from im2txt.images import preprocessing
from im2txt.images.preprocessing import ImageFormat


def encode(pixels, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def random_pixels(height, width, channels=(3,)):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def smooth_jpeg():
    picture = Image.fromarray(random_pixels(6, 8)).resize((64, 48), Image.Resampling.BICUBIC)
    return encode(np.asarray(picture), "JPEG", quality=95)


def bilinear(pixels, size, resize="half_pixel"):
    """Each pixel lies at its centre's place in the source (legacy: at its corner's), between four source pixels."""
    offset = 0.5 if resize == "half_pixel" else 0.0
    result = pixels.astype(np.float64) / 255
    for axis in (0, 1):
        length = result.shape[axis]
        places = np.clip((np.arange(size) + offset) * length / size - offset, 0, length - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (places - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        result = np.take(result, low, axis) * (1 - share) + np.take(result, high, axis) * share
    return result


def inside_tf_data(function, *columns):
    return [value.numpy() for value in tf.data.Dataset.from_tensor_slices(columns).map(function)]


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("GIF", {})])
def test_lossless_files_decode_to_their_pixels(kind, options):
    pixels = np.repeat(random_pixels(5, 7, (1,)), 3, axis=2)  # At most 35 greys: a GIF's palette holds them.
    image = preprocessing.decode_image(tf.constant(encode(pixels, kind, **options)))
    assert image.dtype == tf.uint8
    np.testing.assert_array_equal(image, pixels)


def test_an_animation_gives_its_first_frame():
    frames = [Image.fromarray(np.full((4, 6, 3), value, np.uint8)) for value in (10, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(preprocessing.decode_image(stream.getvalue()), np.full((4, 6, 3), 10))


def test_grey_and_transparent_pictures_become_rgb():
    grey = random_pixels(4, 5, ())
    for kind in ("PNG", "JPEG"):
        image = preprocessing.decode_image(encode(grey, kind, quality=100))
        assert image.shape == (4, 5, 3)
        assert np.ptp(image, axis=2).max() == 0
    rgba = random_pixels(4, 5, (4,))
    np.testing.assert_array_equal(preprocessing.decode_image(encode(rgba)), rgba[..., :3])


def test_a_jpeg_decodes_as_pillow_decodes_it():
    encoded = smooth_jpeg()
    expected = np.asarray(Image.open(io.BytesIO(encoded))).astype(int)
    difference = preprocessing.decode_image(encoded).numpy() - expected
    assert np.abs(difference).max() <= 12  # TensorFlow's transform is the fast one, Pillow's the exact one.
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("encoded", [b"", b"no picture", smooth_jpeg()[:-200]])
def test_what_is_no_whole_picture_is_refused(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)input|jpeg|image"):
        preprocessing.decode_image(tf.constant(encoded))


@pytest.mark.parametrize(
    ("image_size", "crop_fraction", "side", "margin"),
    [(6, 0.6, 10, 2), (5, 0.5, 10, 2), (10, 1.0, 10, 0), (3, 0.3, 10, 3), (9, 0.9, 10, 0), (299, 299 / 346, 346, 23)],
)
def test_the_centre_is_kept(image_size, crop_fraction, side, margin):
    pixels = random_pixels(side, side)  # Of the very size it is resized to: nothing is interpolated.
    image = preprocessing.prepare_image(encode(pixels), ImageFormat(image_size, crop_fraction))
    kept = slice(margin, margin + image_size)
    assert image.dtype == tf.float32
    np.testing.assert_allclose(image, pixels[kept, kept] / 255, atol=1e-6)


@pytest.mark.parametrize("resize", ["half_pixel", "legacy"])
@pytest.mark.parametrize(("height", "width"), [(20, 31), (5, 3), (8, 40)])
def test_resizing_is_bilinear_and_ignores_the_aspect_ratio(height, width, resize):
    pixels = random_pixels(height, width)
    image = preprocessing.prepare_image(encode(pixels), ImageFormat(9, 0.75, resize))  # Resized to 12 x 12.
    np.testing.assert_allclose(image, bilinear(pixels, 12, resize)[1:10, 1:10], atol=1e-5)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_plain_picture_stays_plain(value):
    encoded = encode(np.full((13, 29, 3), value, np.uint8))
    image = preprocessing.prepare_image(encoded, ImageFormat(8, 0.875))
    np.testing.assert_allclose(image, np.full((8, 8, 3), value / 255), atol=1e-6)


def test_preparing_is_the_same_inside_tf_data():
    encoded = [encode(random_pixels(20, 31)), smooth_jpeg()]
    image_format = ImageFormat(9, 0.75)
    eager = [preprocessing.prepare_image(tf.constant(e), image_format).numpy() for e in encoded]
    mapped = inside_tf_data(lambda e: preprocessing.prepare_image(e, image_format), encoded)
    np.testing.assert_allclose(mapped, eager, atol=1e-6)


def distort(encoded, seed, image_size=8, crop_fraction=0.8):
    seed = tf.constant(seed, tf.int64)
    image_format = ImageFormat(image_size, crop_fraction)
    return preprocessing.prepare_distorted_image(tf.constant(encoded), image_format, seed).numpy()


def test_distortion_is_a_function_of_the_seed_also_inside_tf_data():
    encoded = smooth_jpeg()
    seeds = [(7, position) for position in range(8)]
    eager = [distort(encoded, seed) for seed in seeds]
    mapped = inside_tf_data(
        lambda seed: preprocessing.prepare_distorted_image(encoded, ImageFormat(8, 0.8), seed),
        np.array(seeds, np.int64),
    )
    np.testing.assert_allclose(mapped, eager, atol=1e-5)
    np.testing.assert_array_equal(distort(encoded, seeds[3]), eager[3])
    for other in (*eager[:3], *eager[4:], distort(encoded, (8, 3))):
        assert np.abs(other - eager[3]).max() > 0.01


def test_distorted_pixels_stay_between_0_and_1():
    encoded = encode(np.where(random_pixels(10, 10) < 128, 0, 255).astype(np.uint8))
    distorted = np.array([distort(encoded, (0, position)) for position in range(20)])
    assert (distorted.min(), distorted.max()) == (0, 1)


def test_every_window_is_cropped_and_every_second_one_flipped(monkeypatch):
    monkeypatch.setattr(preprocessing, "distort_colours", lambda image, *arguments, **options: image)
    pixels = random_pixels(10, 10)  # Cropped to 8 x 8 at one of 9 places.
    windows = [(y, x, flip) for y in range(3) for x in range(3) for flip in (1, -1)]
    seen = Counter()
    for position in range(300):
        distorted = np.round(distort(encode(pixels), (2, position)) * 255)
        matching = [
            (y, x, flip) for y, x, flip in windows if np.array_equal(distorted, pixels[y : y + 8, x : x + 8][:, ::flip])
        ]
        assert len(matching) == 1
        seen[matching[0]] += 1
    assert set(seen) == set(windows)
    assert 100 <= sum(count for (*_, flip), count in seen.items() if flip == -1) <= 200


def test_distortion_is_that_of_the_plain_operations_in_alternating_order():
    # With the size kept, nothing but a flip comes before the colours.
    pixels = random_pixels(12, 12)
    for position in range(6):
        seeds = tf.random.split(tf.constant((5, position), tf.int64), num=6)
        image = tf.image.stateless_random_flip_left_right(tf.constant(pixels / 255, tf.float32), seeds[1])
        expected = plain_distortion(image, seeds[2:], contrast_last=position % 2 == 0)
        np.testing.assert_allclose(distort(encode(pixels), (5, position), 12, 1.0), expected, atol=5e-6)


def plain_distortion(image, seeds, contrast_last):
    """The original's operations on colours, one after the other."""
    saturation = lambda image: tf.image.stateless_random_saturation(image, 0.5, 1.5, seeds[1])  # noqa: E731
    hue = lambda image: tf.image.stateless_random_hue(image, 0.032, seeds[2])  # noqa: E731
    contrast = lambda image: tf.image.stateless_random_contrast(image, 0.5, 1.5, seeds[3])  # noqa: E731
    image = tf.image.stateless_random_brightness(image, 32 / 255, seeds[0])
    for operation in (saturation, hue, contrast) if contrast_last else (contrast, saturation, hue):
        image = operation(image)
    return tf.clip_by_value(image, 0, 1)
