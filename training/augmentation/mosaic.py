"""Mosaic: parts of four images in one, with the objects in them (Bochkovskiy et al.: YOLOv4, arXiv:2004.10934)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from ...core.outputs import map_outputs
from ...tasks.registry import get_task
from ..recipe.augmentation import Mosaic
from .affine import affine_matrix, crop_and_resize
from .random_stream import RandomStream

LEAST = 0.25
"""Smallest share of width and height that a tile has."""


@dataclass(frozen=True)
class Tile:
    """One of the four rectangles of each image of a batch, and the part of another image that it shows.

    All lengths are shares of the image's, x and y, float64 `(batch, 2)`.
    """

    partner: int
    """How many images before its own in the batch the image it shows is."""
    corner: tf.Tensor
    """Its left and top edge."""
    size: tf.Tensor
    """Its width and height."""
    scale: tf.Tensor
    """Size at which the other image is shown, `(batch, 1)`."""
    start: tf.Tensor
    """Left and top edge of the part that is shown."""

    def image(self, images: tf.Tensor) -> tf.Tensor:
        """Return the other images, moved to where the tile shows them; what is around the tile has no meaning."""
        height, width = images.shape[1:3]
        x, y = tf.unstack((0.5 - self.corner) / self.scale + self.start - 0.5, axis=1)
        larger = 1 / self.scale[:, 0]
        matrices = affine_matrix(x_from_x=larger, y_from_y=larger, x=x * width, y=y * height)
        return crop_and_resize(tf.roll(images, self.partner, axis=0), matrices, "bilinear")

    def covers(self, images: tf.Tensor) -> tf.Tensor:
        """Return which pixels are its own, bool `(batch, height, width, 1)`."""
        height, width = images.shape[1:3]

        def inside(axis: int, side: int) -> tf.Tensor:
            middles = (tf.range(side, dtype=tf.float64) + 0.5) / side
            first = self.corner[:, axis, tf.newaxis]
            return (middles > first) & (middles < first + self.size[:, axis, tf.newaxis])

        return (inside(1, height)[:, :, tf.newaxis] & inside(0, width)[:, tf.newaxis])[..., tf.newaxis]

    def targets(self, task_name: str, targets: tf.Tensor) -> tf.Tensor:
        """Return the objects of the other images that are in the tile; the task clips and drops them at its edges."""
        task = get_task(task_name)
        in_tile = Placement(self.scale / self.size, -self.start * self.scale / self.size)
        moved = task.warp_targets(tf.roll(targets, self.partner, axis=0), in_tile)
        return task.warp_targets(moved, Placement(self.size, self.corner))


@dataclass(frozen=True)
class Placement:
    """A scaling and a shift of positions, both float64 `(batch, 2)`, as the warp of `tasks.target_form.Warp`."""

    scale: tf.Tensor
    shift: tf.Tensor

    def __call__(self, maps: tf.Tensor, interpolation: str) -> tf.Tensor:
        """Raises TypeError: objects have no maps."""
        raise TypeError("a mosaic moves objects, not maps")

    def points(self, positions: tf.Tensor) -> tf.Tensor:
        """Return where points `(batch, points, 2)` are afterwards."""
        moved = tf.cast(positions, tf.float64) * self.scale[:, tf.newaxis] + self.shift[:, tf.newaxis]
        return tf.cast(moved, positions.dtype)

    def mirrored(self) -> tf.Tensor:
        """Return that no image is mirrored."""
        return tf.zeros(tf.shape(self.scale)[:1], tf.bool)


def mosaic(
    options: Mosaic, stream: RandomStream, images: tf.Tensor, targets: Any, tasks: str | dict[str, str]
) -> tuple[tf.Tensor, Any]:
    """Replace every image by parts of itself and of the three images before it in the batch.

    Args:
        options: The transformation.
        stream: Its random numbers.
        images: Float32 `(batch, height, width, channels)`.
        targets: Rows of objects, `(batch, most, values)`, one tensor or a dict; they become four times as many.
        tasks: Task of each output, of which targets are objects.
    """
    tiles = draw_tiles(stream, (images.shape[1], images.shape[2]))
    shown = images
    for tile in tiles:
        shown = tf.where(tile.covers(images), tile.image(images), shown)
    return shown, map_outputs(partial(_join, tiles), tasks, targets)


def draw_tiles(stream: RandomStream, sides: tuple[int, int]) -> list[Tile]:
    """Return the four tiles around a random point, which is at the corner of pixels; `sides` are height and width."""
    pixels = tf.constant([sides[1], sides[0]], tf.float64)
    point = tf.stack([stream.uniform(LEAST, 1 - LEAST) for _ in range(2)], axis=1)
    point = tf.round(point * pixels) / pixels
    tiles = []
    for partner, (is_right, is_lower) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        is_after = tf.constant([is_right, is_lower], tf.float64)
        size = is_after + (1 - 2 * is_after) * point
        scale = stream.uniform(tf.reduce_max(size, axis=1), 1.0)[:, tf.newaxis]
        shares = tf.stack([stream.uniform(0.0, 1.0) for _ in range(2)], axis=1)
        tiles.append(Tile(partner, is_after * point, size, scale, shares * (1 - size / scale)))
    return tiles


def _join(tiles: Sequence[Tile], task_name: str, targets: tf.Tensor) -> tf.Tensor:
    return tf.concat([tile.targets(task_name, targets) for tile in tiles], axis=1)
