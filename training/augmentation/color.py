"""Transformations that change colors and leave every pixel in its position. Images are float32 in 0..255."""

import math

import numpy as np
import tensorflow as tf

from ..recipe.augmentation import Color, Erase, Noise
from .random_stream import RandomStream

YIQ = np.array([[0.299, 0.596, 0.211], [0.587, -0.274, -0.523], [0.114, -0.322, 0.312]])
"""Matrix from RGB (rows) to luma and two axes of chroma (columns), NTSC 1953."""
LUMA = np.outer(YIQ[:, 0], np.ones(3))
"""Matrix from RGB to the luma in each of the three channels."""
QUARTER_TURN = YIQ @ np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ np.linalg.inv(YIQ)
"""Matrix that removes the luma and rotates the chroma around the gray axis by a quarter of the color circle."""
ERASED = 128.0
"""Value of erased pixels."""
SMALLEST_ERASED = 0.02
"""Minimum area to erase as a share of the image, as in the paper (arXiv:1708.04896)."""
ERASED_ASPECT = 0.3
"""Aspect ratios of erased rectangles are between this and its inverse, as in the paper."""


def jitter_color(options: Color, stream: RandomStream, images: tf.Tensor) -> tf.Tensor:
    """Change brightness, contrast, saturation and hue by random shares."""
    shares = (options.brightness, options.contrast, options.saturation, options.hue)
    brightness, contrast, saturation, hue = (stream.uniform(-share, share) for share in shares)
    return adjust_color(images, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)


def erase(options: Erase, stream: RandomStream, images: tf.Tensor) -> tf.Tensor:
    """Fill a random rectangle with gray in half of the images."""
    area = stream.uniform(min(SMALLEST_ERASED, options.largest), options.largest)
    aspect = tf.exp(stream.uniform(math.log(ERASED_ASPECT), -math.log(ERASED_ASPECT)))
    erased = stream.rectangle(images, tf.sqrt(area * aspect), tf.sqrt(area / aspect))
    return tf.where(erased & stream.coin()[:, None, None, None], ERASED, images)


def add_noise(options: Noise, stream: RandomStream, images: tf.Tensor) -> tf.Tensor:
    """Add Gaussian noise of a random strength, clipped to 0..255."""
    strength = 255 * stream.uniform(0.0, options.deviation)
    seeds = tf.stack([tf.cast(stream.uniform(0.0, 2.0**31), tf.int64) for _ in range(2)], axis=1)
    noise = tf.map_fn(
        lambda seed: tf.random.stateless_normal(images.shape[1:], seed), seeds, fn_output_signature=tf.float32
    )
    return tf.clip_by_value(images + tf.cast(strength, tf.float32)[:, None, None, None] * noise, 0, 255)


def adjust_color(
    images: tf.Tensor,
    *,
    brightness: float | tf.Tensor = 0.0,
    contrast: float | tf.Tensor = 0.0,
    saturation: float | tf.Tensor = 0.0,
    hue: float | tf.Tensor = 0.0,
) -> tf.Tensor:
    """Change the colors of each image by a single linear map, clipped to 0..255.

    Each change is float64 `(batch,)`, or a number for all images.

    Args:
        images: `(batch, height, width, channels)`; saturation and hue have no effect on other than
            three channels, whose luma is their mean.
        brightness: Added to every channel, as a share of 255.
        contrast: Relative change of every pixel's distance from the mean luma of the image.
        saturation: Relative change of every pixel's distance from its own luma.
        hue: Rotation around the gray axis, as a share of the color circle.
    """
    brightness, contrast, saturation, turn = (
        tf.reshape(tf.cast(value, tf.float64), (-1, 1, 1)) for value in (brightness, contrast, saturation, hue)
    )
    # Sums of integers do not depend on the order in which threads add.
    sums = tf.reduce_sum(tf.cast(images, tf.int32), axis=(1, 2))[:, None]
    mean = tf.cast(sums, tf.float64) / math.prod(images.shape[1:3])
    if images.shape[-1] == 3:
        chroma = tf.cos(2 * math.pi * turn) * (np.eye(3) - LUMA) + tf.sin(2 * math.pi * turn) * QUARTER_TURN
        matrix = (1 + contrast) * (LUMA + (1 + saturation) * chroma)
        mean @= LUMA
    else:
        matrix = (1 + contrast) * np.eye(images.shape[-1])
        mean = tf.reduce_mean(mean, axis=-1, keepdims=True)
    shift = 255 * brightness - contrast * mean
    flat = tf.reshape(images, (-1, math.prod(images.shape[1:3]), images.shape[-1]))
    mapped = flat @ tf.cast(matrix, tf.float32) + tf.cast(shift, tf.float32)
    return tf.clip_by_value(tf.reshape(mapped, tf.shape(images)), 0, 255)
