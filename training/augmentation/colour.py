"""Transformations that change colours and leave every pixel where it is. Images are float32 in 0..255."""

import math

import numpy as np
import tensorflow as tf

from ..recipe.augmentation import Colour, Erase
from .draws import Draws
from .rectangles import rectangles

YIQ = np.array([[0.299, 0.596, 0.211], [0.587, -0.274, -0.523], [0.114, -0.322, 0.312]])
"""Red, green and blue (rows) to luma and two axes of chroma (columns), after NTSC's standard of 1953."""
GREY = np.outer(YIQ[:, 0], np.ones(3))
"""Red, green and blue to three times their luma."""
QUARTER_TURN = YIQ @ np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ np.linalg.inv(YIQ)
"""Of the chroma around the axis of greys: the hue by a quarter of the circle; no luma."""
ERASED = 128.0
SMALLEST_ERASED = 0.02
"""Of the image, as in the paper; so is the aspect ratio, up to 0.3 or its inverse."""


def colour(options: Colour, draws: Draws, images: tf.Tensor) -> tf.Tensor:
    """Brightness, contrast, saturation and hue off by random shares."""
    shares = (options.brightness, options.contrast, options.saturation, options.hue)
    brightness, contrast, saturation, hue = (draws.uniform(-share, share) for share in shares)
    return adjust(images, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)


def erase(options: Erase, draws: Draws, images: tf.Tensor) -> tf.Tensor:
    """A grey rectangle in half of the images."""
    area = draws.uniform(min(SMALLEST_ERASED, options.largest), options.largest)
    aspect = tf.exp(draws.uniform(math.log(0.3), -math.log(0.3)))
    erased = rectangles(images, tf.sqrt(area * aspect), tf.sqrt(area / aspect), draws)
    return tf.where(erased & draws.coin()[:, None, None, None], ERASED, images)


def adjust(images: tf.Tensor, *, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0) -> tf.Tensor:
    """Changes the colours of each image, all in one linear map, cut off at 0 and 255.

    Args:
        images: `(batch, height, width, channels)`; of one channel, there is no saturation and no hue to change.
        brightness: Added, as a share of 255; float64 `(batch,)`, as all of these, or the same for all images.
        contrast: By which share the distance of every pixel from the image's mean luma grows.
        saturation: By which share its distance from its own luma grows.
        hue: Turned by this share of the circle, around the axis of greys.
    """
    brightness, contrast, saturation, turn = (
        tf.reshape(tf.cast(value, tf.float64), (-1, 1, 1)) for value in (brightness, contrast, saturation, hue)
    )
    # Sums of whole numbers do not depend on the order in which threads add.
    sums = tf.reduce_sum(tf.cast(images, tf.int32), axis=(1, 2))[:, None]
    mean = tf.cast(sums, tf.float64) / math.prod(images.shape[1:3])
    if images.shape[-1] == 3:
        chroma = tf.cos(2 * math.pi * turn) * (np.eye(3) - GREY) + tf.sin(2 * math.pi * turn) * QUARTER_TURN
        matrix = (1 + contrast) * (GREY + (1 + saturation) * chroma)
        mean @= GREY
    else:
        matrix = 1 + contrast
    shift = 255 * brightness - contrast * mean
    flat = tf.reshape(images, (-1, math.prod(images.shape[1:3]), images.shape[-1]))
    mapped = flat @ tf.cast(matrix, tf.float32) + tf.cast(shift, tf.float32)
    return tf.clip_by_value(tf.reshape(mapped, tf.shape(images)), 0, 255)
