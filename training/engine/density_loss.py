"""The loss of counting: the density that points stand for, and how far a map is from it."""

import math
from typing import Any

import keras
import tensorflow as tf

from ..recipe.loss import Density


class DensityLoss(keras.Loss):
    """Squared errors of the density and absolute errors of the counts, mean over images.

    Args:
        config: The section of the recipe.
    """

    def __init__(self, config: Density):
        super().__init__(name=config.name)
        self._config = config

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the losses `(batch,)` of points `(batch, most, 3)` and maps `(batch, rows, columns, classes)`."""
        outputs = tf.cast(y_pred, tf.float32)
        errors = outputs - density_of(tf.cast(y_true, tf.float32), tf.shape(outputs), self._config.spread)
        # Of Gaussians on separate objects, the sum of squares over the peak is 1/2.
        squared = 2 * math.pi * self._config.spread**2 * tf.reduce_sum(errors**2, axis=(1, 2, 3))
        counts = tf.reduce_sum(tf.abs(tf.reduce_sum(errors, axis=(1, 2))), axis=1)
        return squared + self._config.count_weight * counts


def density_of(points: Any, shape: Any, spread: float) -> Any:
    """Return the density of points, in the shape of a map.

    Each point is a Gaussian that sums to 1 over the map, also where it is cut off at an edge.

    Args:
        points: `(batch, most, 3)`: x and y as shares of width and height, and the class; -1 for no object.
        shape: `(batch, rows, columns, classes)`.
        spread: Standard deviation, in positions of the map.
    """
    across, down = _line(points[..., 0], shape[2], spread), _line(points[..., 1], shape[1], spread)
    classes = tf.one_hot(tf.cast(points[..., 2], tf.int32), shape[3])
    return tf.einsum("bmr,bmc,bmk->brck", down, across, classes)


def _line(places: Any, length: Any, spread: float) -> Any:
    """Return the Gaussian of each place along one axis, `(batch, most, length)`, which sums to 1."""
    positions = tf.range(length, dtype=tf.float32) + 0.5
    away = (positions - places[..., tf.newaxis] * tf.cast(length, tf.float32)) / spread
    return tf.nn.softmax(-(away**2) / 2, axis=-1)
