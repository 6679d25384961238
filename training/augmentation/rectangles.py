"""Rectangles at random places of images, for what is erased there and what is pasted."""

import tensorflow as tf

from .draws import Draws


def rectangles(images: tf.Tensor, across: tf.Tensor, down: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Which pixels are in the rectangle of their image: bool, `(batch, height, width, 1)`.

    Args:
        images: `(batch, height, width, channels)`.
        across: Its width as a share of the image's, `(batch,)`; more than 1 is 1.
        down: Its height, likewise.
        draws: Where it lies, wholly in the image.
    """

    def inside(share: tf.Tensor, side: int) -> tf.Tensor:
        length = tf.round(tf.minimum(share, 1.0) * side)
        start = tf.floor(draws.uniform(0.0, 1.0) * (side - length + 1))
        places = tf.range(side, dtype=share.dtype)
        return (places >= start[:, None]) & (places < (start + length)[:, None])

    height, width = images.shape[1:3]
    columns, rows = inside(across, width), inside(down, height)
    return (rows[:, :, None] & columns[:, None])[..., None]
