"""Photographs as pixels: decode, crop, resize, distort.

An image is float32 [size, size, 3] in [0, 1], RGB. What range an encoder wants is the encoder's business. Every random
operation is stateless: its result depends on the image and the seed alone, so a resumed run sees the same pixels again.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from im2txt.configuration import ResizeMethod
from im2txt.images.colour_distortions import distort_colours


def decode_image(encoded_image: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame) or BMP bytes.

    Args:
        encoded_image: string [].

    Returns:
        uint8 [height, width, 3], RGB.
    """
    image = tf.io.decode_image(encoded_image, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


@dataclasses.dataclass(frozen=True)
class ImageFormat:
    """How photographs are prepared for an encoder.

    Attributes:
        image_size: side of the result in pixels.
        crop_fraction: share of height and width that is kept, in (0, 1]; the original im2txt keeps 299 of 346 pixels.
        resize: where pixels are sampled; see `configuration.EncoderConfig`.
    """

    image_size: int
    crop_fraction: float
    resize: ResizeMethod = "half_pixel"


def prepare_image(encoded_image: tf.Tensor, image_format: ImageFormat) -> tf.Tensor:
    """Decodes a photograph, resizes it ignoring its aspect ratio and keeps the centre, as for evaluation.

    Args:
        encoded_image: string [].
        image_format: size, crop and sampling of the result.

    Returns:
        float32 [image_size, image_size, 3] in [0, 1].
    """
    return prepare_pixels(decode_image(encoded_image), image_format)


def prepare_pixels(pixels: tf.Tensor, image_format: ImageFormat) -> tf.Tensor:
    """Resizes decoded photographs ignoring their aspect ratio and keeps the centre; see `prepare_image`.

    Args:
        pixels: uint8 [..., height, width, 3], or float32 in [0, 1].
        image_format: size, crop and sampling of the result.

    Returns:
        float32 [..., image_size, image_size, 3] in [0, 1].
    """
    image_size = image_format.image_size
    images = _resize(pixels, image_format)
    margin = (images.shape[-2] - image_size) // 2
    return tf.image.crop_to_bounding_box(images, margin, margin, image_size, image_size)


def prepare_distorted_image(encoded_image: tf.Tensor, image_format: ImageFormat, seed: tf.Tensor) -> tf.Tensor:
    """Decodes a photograph and crops, flips and recolours it at random, as the original im2txt does in training.

    Args:
        encoded_image: string [].
        image_format: size, crop and sampling of the result.
        seed: int64 [2]; the second number's parity chooses the order of the colour operations.

    Returns:
        float32 [image_size, image_size, 3] in [0, 1].
    """
    seeds = tf.random.split(seed, num=6)
    image = _resize(decode_image(encoded_image), image_format)
    image = tf.image.stateless_random_crop(image, [image_format.image_size, image_format.image_size, 3], seeds[0])
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])
    return distort_colours(image, seeds[2:], contrast_last=seed[1] % 2 == 0)


def _resize(image: tf.Tensor, image_format: ImageFormat) -> tf.Tensor:
    """uint8 [..., h, w, 3] to float32 [..., s, s, 3], of which the crop keeps its share."""
    size = max(image_format.image_size, round(image_format.image_size / image_format.crop_fraction))
    image = tf.image.convert_image_dtype(image, tf.float32)
    resize = tf.image.resize if image_format.resize == "half_pixel" else tf.compat.v1.image.resize
    resized = resize(image, [size, size], method="bilinear")
    return tf.ensure_shape(resized, [*image.shape[:-3], size, size, 3])
