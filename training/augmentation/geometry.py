"""Transformations that move pixels, as matrices: however many follow one another, an image is resampled once.

A matrix, float64 `(batch, 3, 3)`, leads from a place in the image that is made to its place in the image there was;
places are `(x, y, 1)` in pixels from the centre. Of several transformations in turn it is the product.
"""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from ..recipe.augmentation import Crop, Flip, Rotate, Shear, Translate, Zoom
from .draws import Draws

Sides = tuple[int, int]
"""Height and width."""
WIDEST = 4 / 3
"""Of a crop: how much its aspect ratio may differ from the image's."""


def flip(options: Flip, draws: Draws, sides: Sides) -> tf.Tensor:
    """Mirrored or not."""

    def direction(way: str) -> tf.Tensor | float:
        return draws.sign() if way in options.mode else 1.0

    return affine(x_from_x=direction("horizontal"), y_from_y=direction("vertical"))


def translate(options: Translate, draws: Draws, sides: Sides) -> tf.Tensor:
    """Shifted."""
    down, right = (share * side for share, side in zip((options.height, options.width), sides, strict=True))
    return affine(x=draws.uniform(-right, right), y=draws.uniform(-down, down))


def rotate(options: Rotate, draws: Draws, sides: Sides) -> tf.Tensor:
    """Turned around the centre."""
    largest = math.radians(options.degrees)
    return turned(draws.uniform(-largest, largest))


def zoom(options: Zoom, draws: Draws, sides: Sides) -> tf.Tensor:
    """Smaller or larger, its aspect ratio kept."""
    scale = 1 / draws.uniform(1 - options.factor, 1 + options.factor)
    return affine(x_from_x=scale, y_from_y=scale)


def shear(options: Shear, draws: Draws, sides: Sides) -> tf.Tensor:
    """Slanted."""
    along_x, along_y = (draws.uniform(-options.factor, options.factor) for _ in range(2))
    return affine(x_from_y=along_x) @ affine(y_from_x=along_y)


def crop(options: Crop, draws: Draws, sides: Sides) -> tf.Tensor:
    """A part in the full size."""
    height, width = sides
    area = draws.uniform(options.smallest, 1.0)
    widest = tf.minimum(-tf.math.log(area), math.log(WIDEST))  # what is wider than this leaves the image
    aspect = tf.exp(draws.uniform(-widest, widest))
    across, down = tf.sqrt(area * aspect), tf.sqrt(area / aspect)
    x = draws.uniform(-1.0, 1.0) * (1 - across) * (width - 1) / 2
    y = draws.uniform(-1.0, 1.0) * (1 - down) * (height - 1) / 2
    return affine(x_from_x=across, y_from_y=down, x=x, y=y)


MATRICES: dict[type, Callable[..., tf.Tensor]] = {
    Flip: flip,
    Translate: translate,
    Rotate: rotate,
    Zoom: zoom,
    Shear: shear,
    Crop: crop,
}

INSIDE = {Flip, Crop}
"""Those that neither turn an image nor show what lies outside of it."""


def turned(angle: tf.Tensor) -> tf.Tensor:
    """The matrix of a rotation by `angle`, `(batch,)` in radians."""
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return affine(x_from_x=cosine, x_from_y=-sine, y_from_x=sine, y_from_y=cosine)


def affine(*, x_from_x=1.0, x_from_y=0.0, x=0.0, y_from_x=0.0, y_from_y=1.0, y=0.0) -> tf.Tensor:
    """The matrices with these entries, each `(batch,)` or, but for one at least, the same number for all images."""
    entries = [x_from_x, x_from_y, x, y_from_x, y_from_y, y, 0.0, 0.0, 1.0]
    zero = tf.zeros_like(next(entry for entry in entries if tf.is_tensor(entry)))
    return tf.reshape(tf.stack([entry + zero for entry in entries], axis=-1), (-1, 3, 3))


def resample(maps: tf.Tensor, matrices: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Images or masks moved by matrices; what lies outside is what the nearest edge shows.

    Args:
        maps: `(batch, height, width, channels)`.
        matrices: Float64 `(batch, 3, 3)`.
        interpolation: `"bilinear"`, or `"nearest"` for masks, whose type it keeps.
    """
    height, width = maps.shape[1:3]
    centre = tf.constant([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]], matrices.dtype)
    in_pixels = centre @ matrices @ tf.linalg.inv(centre)
    flat = tf.reshape(in_pixels, (-1, 9))[:, :8]  # as Keras takes it; the ninth is 1
    return keras.ops.image.affine_transform(maps, flat, interpolation=interpolation, fill_mode="nearest")


def cut_out(maps: tf.Tensor, matrices: tf.Tensor, interpolation: str) -> tf.Tensor:
    """As `resample`, in a third of the time, for matrices of nothing but what is `INSIDE`."""
    sides = tf.constant([*maps.shape[1:3]], matrices.dtype)
    scale, shift = tf.linalg.diag_part(matrices)[:, 1::-1], matrices[:, 1::-1, 2]  # of y and x
    first, last = (sides - 1) * (1 - scale) / 2 + shift, (sides - 1) * (1 + scale) / 2 + shift
    boxes = tf.concat([first, last], axis=1) / tf.tile(tf.maximum(sides - 1, 1), [2])
    rows = tf.range(tf.shape(maps)[0])
    shown = tf.image.crop_and_resize(maps, tf.cast(boxes, tf.float32), rows, maps.shape[1:3], interpolation)
    return tf.cast(shown, maps.dtype)
