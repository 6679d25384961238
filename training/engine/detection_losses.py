"""The loss of detections: which candidates stand for which objects, focal loss of scores, losses of boxes."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..recipe.loss import ScoresAndBoxes

WIDTH = 0.54 / 6
"""Standard deviation of the Gaussian around an object's middle, as a share of its width and height (Liu et al.:
Training-time-friendly network, arXiv:1909.00700)."""
NARROWEST = 0.6
"""Smallest standard deviation, in positions: neighbors of the nearest one learn the box of an object, too."""
POSITIONS = 4.0
"""Width and height of an object in positions of a pyramid's map that suit best: about what one position's features
see, and more than one of them learn the box."""
TAIL = 0.05
"""Value of a Gaussian below which boxes are not compared."""
NEGATIVE = 4.0
"""Exponent by which scores near the middle of an object are spared (Law, Deng: CornerNet, arXiv:1808.01244)."""
TINY = 1e-7


class DetectionLoss(keras.Loss):
    """Sum over all candidates, divided by the number of objects in the batch.

    Args:
        config: The section of the recipe.
        cells: Middle, width and height of the position of each candidate, as shares of those of the image, `(n, 4)`.
    """

    def __init__(self, config: ScoresAndBoxes, cells: np.ndarray):
        super().__init__(name=config.name)
        self._config = config
        self._middles = tf.constant(cells[:, :2], tf.float32)
        self._sizes = tf.constant(cells[:, 2:], tf.float32)
        self._measure = {"giou": giou_loss, "ciou": ciou_loss, "l1": edge_distance}[config.boxes]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of targets `(batch, most, 5)` and outputs `(batch, n, 4 + classes)`."""
        targets, outputs = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)
        edges, classes = targets[..., :4], tf.cast(targets[..., 4], tf.int32)
        weights = tf.ones(tf.shape(targets)[:1]) if sample_weight is None else tf.cast(sample_weight, tf.float32)
        nearness = self._nearness(edges, classes)
        heat = _by_class(nearness, classes, outputs.shape[-1] - 4)
        scores = self._misses(nearness, classes, outputs[..., 4:]) + self._false_alarms(heat, outputs[..., 4:])
        # Of objects that share a position, the smaller one: the larger one has further positions.
        areas = tf.reduce_prod(edges[..., 2:] - edges[..., :2], axis=-1)
        owner = tf.argmax(tf.where(nearness > TAIL, nearness - 0.5 * areas[..., tf.newaxis], -9.0), axis=1)
        share = tf.reduce_max(nearness, axis=1)
        share = tf.where(share > TAIL, share, 0.0)
        errors = self._measure(tf.gather(edges, owner, batch_dims=1), outputs[..., :4])
        boxes = tf.reduce_sum(share * errors, axis=1)
        objects = tf.reduce_sum(tf.cast(classes >= 0, tf.float32), axis=1)
        total = tf.maximum(tf.reduce_sum(weights * objects), 1.0)
        places = tf.maximum(tf.reduce_sum(weights * tf.reduce_sum(share, axis=1)), 1.0)
        return (
            tf.reduce_sum(weights * scores) / total + self._config.box_weight * tf.reduce_sum(weights * boxes) / places
        )

    def _nearness(self, edges: Any, classes: Any) -> Any:
        """Return the Gaussian of each object at each candidate, `(batch, most, n)`: 1 at the one nearest its middle."""
        middles, size = (edges[..., :2] + edges[..., 2:]) / 2, edges[..., 2:] - edges[..., :2]
        # Positions an object is wide and high; it is of the map of a pyramid where that is nearest to `POSITIONS`.
        side = tf.sqrt(tf.reduce_prod(size[:, :, tf.newaxis] / self._sizes, axis=-1))
        misfit = tf.abs(tf.math.log(tf.maximum(side, TINY) / POSITIONS))
        is_of_map = misfit <= tf.reduce_min(misfit, axis=-1, keepdims=True) + TINY
        spread = tf.maximum(WIDTH * size[:, :, tf.newaxis], NARROWEST * self._sizes)
        away = tf.reduce_sum(((middles[:, :, tf.newaxis] - self._middles) / spread) ** 2, axis=-1)
        away = tf.where(is_of_map, away, np.inf)
        away -= tf.reduce_min(away, axis=-1, keepdims=True)
        real = tf.cast(classes >= 0, tf.float32)[..., tf.newaxis]
        return real * tf.exp(-away / 2)

    def _misses(self, nearness: Any, classes: Any, scores: Any) -> Any:
        """Return the focal loss of the best score near each object, summed over the objects, `(batch,)`.

        The best one, since in inference only one of two positions at the same distance keeps its score.
        """
        own = tf.gather(tf.transpose(scores, (0, 2, 1)), tf.maximum(classes, 0), axis=1, batch_dims=1)
        best = tf.clip_by_value(tf.reduce_max(nearness * own, axis=-1), TINY, 1.0)
        losses = -((1 - best) ** self._config.gamma) * tf.math.log(best)
        return tf.reduce_sum(tf.where(classes >= 0, losses, 0.0), axis=1)

    def _false_alarms(self, heat: Any, scores: Any) -> Any:
        """Return the focal loss of scores where there is no object, summed over candidates and classes, `(batch,)`."""
        losses = -((1 - heat) ** NEGATIVE) * scores**self._config.gamma
        return tf.reduce_sum(losses * tf.math.log(tf.maximum(1 - scores, TINY)), axis=(1, 2))


def _by_class(nearness: Any, classes: Any, count: int) -> Any:
    """Return the largest Gaussian of each class at each candidate, `(batch, n, count)`."""
    batch, rows = tf.shape(classes)[0], tf.shape(nearness)[2]
    images = tf.range(batch)[:, tf.newaxis]
    segments = tf.where(classes >= 0, images * count + classes, batch * count)
    flat = tf.reshape(nearness, (-1, rows))
    largest = tf.math.unsorted_segment_max(flat, tf.reshape(segments, (-1,)), batch * count + 1)[:-1]
    return tf.transpose(tf.maximum(tf.reshape(largest, (batch, count, rows)), 0.0), (0, 2, 1))


def giou_loss(true: Any, boxes: Any) -> Any:
    """Return 1 - generalized intersection over union of boxes `(..., 4)` (Rezatofighi et al., arXiv:1902.09630)."""
    overlap, union = _overlap(true, boxes)
    around = _area(_around(true, boxes))
    return 1 - overlap / union + (around - union) / tf.maximum(around, TINY)


def ciou_loss(true: Any, boxes: Any) -> Any:
    """Return 1 - complete intersection over union: also of middles and aspect ratios (arXiv:1911.08287)."""
    overlap, union = _overlap(true, boxes)
    share = overlap / union
    around = _around(true, boxes)
    diagonal = tf.reduce_sum((around[..., 2:] - around[..., :2]) ** 2, axis=-1)
    apart = tf.reduce_sum(((true[..., :2] + true[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2) ** 2, axis=-1)
    aspect = 4 / math.pi**2 * (_angle(true) - _angle(boxes)) ** 2
    factor = tf.stop_gradient(aspect / tf.maximum(1 - share + aspect, TINY))
    return 1 - share + apart / tf.maximum(diagonal, TINY) + factor * aspect


def edge_distance(true: Any, boxes: Any) -> Any:
    """Return the mean distance of the edges of boxes `(..., 4)`."""
    return tf.reduce_mean(tf.abs(true - boxes), axis=-1)


def _overlap(true: Any, boxes: Any) -> tuple[Any, Any]:
    sides = tf.minimum(true[..., 2:], boxes[..., 2:]) - tf.maximum(true[..., :2], boxes[..., :2])
    overlap = tf.reduce_prod(tf.maximum(sides, 0.0), axis=-1)
    return overlap, tf.maximum(_area(true) + _area(boxes) - overlap, TINY)


def _around(true: Any, boxes: Any) -> Any:
    low, high = tf.minimum(true[..., :2], boxes[..., :2]), tf.maximum(true[..., 2:], boxes[..., 2:])
    return tf.concat([low, high], axis=-1)


def _area(boxes: Any) -> Any:
    return tf.reduce_prod(tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def _angle(boxes: Any) -> Any:
    width, height = tf.unstack(boxes[..., 2:] - boxes[..., :2], axis=-1)
    return tf.atan(width / tf.maximum(height, TINY))
