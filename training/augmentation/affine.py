"""Affine transformations as matrices: an image is resampled once, however many transformations are combined.

A matrix, float64 `(batch, 3, 3)`, maps a position in the output image to the position in the input image; positions are
`(x, y, 1)` in pixels from the center. The matrix of several transformations in a row is the product of theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from ..recipe.augmentation import Crop, Flip, Rotate, Shear, Translate, Zoom
from .random_stream import RandomStream

Sides = tuple[int, int]
"""Height and width in pixels."""
MAX_ASPECT_CHANGE = 4 / 3
"""Largest ratio between the aspect ratios of a crop and of its image, either way."""


def flip(options: Flip, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices of flips in half of the images."""

    def direction(axis: str) -> tf.Tensor | float:
        return stream.sign() if axis in options.mode else 1.0

    return affine_matrix(x_from_x=direction("horizontal"), y_from_y=direction("vertical"))


def translate(options: Translate, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices of translations."""
    down, right = (share * side for share, side in zip((options.height, options.width), sides, strict=True))
    return affine_matrix(x=stream.uniform(-right, right), y=stream.uniform(-down, down))


def rotate(options: Rotate, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices of rotations around the center."""
    largest = math.radians(options.degrees)
    return rotation_matrix(stream.uniform(-largest, largest))


def zoom(options: Zoom, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices of scalings that keep the aspect ratio."""
    scale = 1 / stream.uniform(1 - options.factor, 1 + options.factor)
    return affine_matrix(x_from_x=scale, y_from_y=scale)


def shear(options: Shear, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices of shears along both axes."""
    along_x, along_y = (stream.uniform(-options.factor, options.factor) for _ in range(2))
    return affine_matrix(x_from_y=along_x) @ affine_matrix(y_from_x=along_y)


def crop(options: Crop, stream: RandomStream, sides: Sides) -> tf.Tensor:
    """Return matrices that enlarge a random part of the image to its full size."""
    height, width = sides
    area = stream.uniform(options.smallest, 1.0)
    # A crop with a more extreme aspect ratio would extend beyond the image.
    most = tf.minimum(-tf.math.log(area), math.log(MAX_ASPECT_CHANGE))
    aspect = tf.exp(stream.uniform(-most, most))
    across, down = tf.sqrt(area * aspect), tf.sqrt(area / aspect)
    x = stream.uniform(-1.0, 1.0) * (1 - across) * (width - 1) / 2
    y = stream.uniform(-1.0, 1.0) * (1 - down) * (height - 1) / 2
    return affine_matrix(x_from_x=across, y_from_y=down, x=x, y=y)


MATRICES: dict[type, Callable[..., tf.Tensor]] = {
    Flip: flip,
    Translate: translate,
    Rotate: rotate,
    Zoom: zoom,
    Shear: shear,
    Crop: crop,
}

AXIS_ALIGNED: set[type] = {Flip, Crop}
"""Transformations without rotation or shear that show nothing from outside the image."""


def rotation_matrix(angle: tf.Tensor) -> tf.Tensor:
    """Return the matrices of rotations by `angle`, `(batch,)` in radians."""
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return affine_matrix(x_from_x=cosine, x_from_y=-sine, y_from_x=sine, y_from_y=cosine)


def affine_matrix(
    *,
    x_from_x: float | tf.Tensor = 1.0,
    x_from_y: float | tf.Tensor = 0.0,
    x: float | tf.Tensor = 0.0,
    y_from_x: float | tf.Tensor = 0.0,
    y_from_y: float | tf.Tensor = 1.0,
    y: float | tf.Tensor = 0.0,
) -> tf.Tensor:
    """Return the matrices with these entries, float64 `(batch, 3, 3)`.

    At least one entry is a tensor `(batch,)`; the others may be numbers, which are the same for all images.
    """
    entries = [x_from_x, x_from_y, x, y_from_x, y_from_y, y, 0.0, 0.0, 1.0]
    zero = tf.zeros_like(next(entry for entry in entries if tf.is_tensor(entry)))
    return tf.reshape(tf.stack([entry + zero for entry in entries], axis=-1), (-1, 3, 3))


def resample(maps: tf.Tensor, matrices: tf.Tensor, interpolation: str, fill: int | None = None) -> tf.Tensor:
    """Transform images or masks by matrices.

    Args:
        maps: `(batch, height, width, channels)`.
        matrices: Float64 `(batch, 3, 3)`.
        interpolation: `"bilinear"`, or `"nearest"` for masks, whose dtype it keeps.
        fill: Value of positions outside the image; None for that of the nearest edge.
    """
    height, width = maps.shape[1:3]
    center = tf.constant([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]], matrices.dtype)
    in_pixels = center @ matrices @ tf.linalg.inv(center)
    flat = tf.reshape(in_pixels, (-1, 9))[:, :8]  # the format of Keras; the ninth entry is 1
    mode = {"fill_mode": "nearest"} if fill is None else {"fill_mode": "constant", "fill_value": fill}
    return keras.ops.image.affine_transform(maps, flat, interpolation=interpolation, **mode)


def crop_and_resize(maps: tf.Tensor, matrices: tf.Tensor, interpolation: str, fill: int | None = None) -> tf.Tensor:
    """Do the same as `resample`, in a third of the time, for products of `AXIS_ALIGNED` transformations.

    These show nothing from outside the image, so that `fill` has no effect.
    """
    sides = tf.constant([*maps.shape[1:3]], matrices.dtype)
    scale, shift = tf.linalg.diag_part(matrices)[:, 1::-1], matrices[:, 1::-1, 2]  # of y and x
    first, last = (sides - 1) * (1 - scale) / 2 + shift, (sides - 1) * (1 + scale) / 2 + shift
    boxes = tf.concat([first, last], axis=1) / tf.tile(tf.maximum(sides - 1, 1), [2])
    indices = tf.range(tf.shape(maps)[0])
    cropped = tf.image.crop_and_resize(maps, tf.cast(boxes, tf.float32), indices, maps.shape[1:3], interpolation)
    return tf.cast(cropped, maps.dtype)


@dataclass(frozen=True)
class AffineWarp:
    """The transformation of the images of a batch, for their targets; see `tasks.target_form.Warp`."""

    move: Callable[..., tf.Tensor]
    """`resample` or `crop_and_resize`."""
    matrices: tf.Tensor
    """Float64 `(batch, 3, 3)`, of the images."""
    sides: Sides
    """Of the images."""

    def __call__(self, maps: tf.Tensor, interpolation: str) -> tf.Tensor:
        """Return the maps moved; the matrices of an image, in its pixels, are scaled to those of a larger map."""
        down, across = (side / own for side, own in zip(maps.shape[1:3], self.sides, strict=True))
        to_map = tf.linalg.diag(tf.constant([across, down, 1.0], self.matrices.dtype))
        matrices = to_map @ self.matrices @ tf.linalg.inv(to_map)
        return self.move(maps, matrices=matrices, interpolation=interpolation)

    def points(self, positions: tf.Tensor) -> tf.Tensor:
        """Return where points are afterwards, by the inverse matrices: these map output positions to input positions.

        Positions of matrices are in pixels from the center of the image.
        """
        height, width = self.sides
        size = tf.constant([width, height], self.matrices.dtype)
        centered = (tf.cast(positions, self.matrices.dtype) - 0.5) * size
        inverse = tf.linalg.inv(self.matrices)
        moved = tf.einsum("bij,bnj->bni", inverse[:, :2, :2], centered) + inverse[:, tf.newaxis, :2, 2]
        return tf.cast(moved / size + 0.5, positions.dtype)

    def mirrored(self) -> tf.Tensor:
        """Return where the determinant is negative: one axis is flipped, not both."""
        return tf.linalg.det(self.matrices) < 0
