"""Losses of embeddings: images of a batch are compared with one another, or with a center of each class.

All divide the embeddings by their Euclidean norm first, so they are functions of directions alone. Images that have
nothing to be compared with in their batch do not count.
"""

import math
from typing import Any

import keras
from keras import ops

from ..recipe.loss import Triplet

FAR = 4.0
"""Added to distances that are not to be the smallest; the largest is 2."""
SMALLEST = 1e-12
"""Lower bound of squared distances, whose root has no finite gradient at 0."""


class EmbeddingLoss(keras.Loss):
    """Base class: targets are class indices `(batch,)`, outputs are embeddings `(batch, length)`."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the mean over the images that count, each multiplied by its weight."""
        classes = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        losses, counted = self.losses(classes, ops.normalize(ops.cast(y_pred, "float32")))
        counted = ops.cast(counted, "float32")
        weights = counted if sample_weight is None else counted * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return ops.sum(losses * weights) / ops.maximum(ops.sum(counted), 1.0)

    def losses(self, classes: Any, vectors: Any) -> tuple[Any, Any]:
        """Return the loss of each image, and whether it counts, both `(batch,)`; vectors have length 1."""
        raise NotImplementedError

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Raise: the loss is no mean over rows; it is called as a whole."""
        raise NotImplementedError


class TripletLoss(EmbeddingLoss):
    """max(0, margin + d(a, p) - d(a, n)), with Euclidean distances d of an image a to one of its class and another.

    `semi_hard`: the mean over all pairs (a, p), with the nearest n that is farther than p, or else the farthest n
    (Schroff et al., arXiv:1503.03832). `hard`: p is the farthest of the class, n the nearest of the others (Hermans et
    al., arXiv:1703.07737).

    Args:
        config: Margin and mining.
    """

    def __init__(self, config: Triplet):
        super().__init__(name=config.name)
        self._config = config

    def losses(self, classes: Any, vectors: Any) -> tuple[Any, Any]:
        """Return the loss of each image as a."""
        distances, positive, negative = _pairs(classes, vectors)
        margin = self._config.margin
        if self._config.mining == "hard":
            farthest = ops.max(distances * positive, axis=1)
            losses = ops.relu(margin + farthest - ops.min(distances + FAR * (1 - negative), axis=1))
        else:
            # (a, p, n): which images n are farther from a than p is.
            farther = negative[:, None, :] * ops.cast(distances[:, None, :] > distances[:, :, None], "float32")
            nearest = ops.min(distances[:, None, :] + FAR * (1 - farther), axis=2)
            farthest = ops.max(distances * negative, axis=1, keepdims=True)
            chosen = ops.where(ops.any(farther > 0, axis=2), nearest, farthest)
            losses = _mean(ops.relu(margin + distances - chosen), positive)
        return losses, _has(positive) & _has(negative)


class ContrastiveLoss(EmbeddingLoss):
    """d(a, p) ** 2 for images of one class and max(0, margin - d(a, n)) ** 2 for others: half the sum of their means.

    Hadsell, Chopra, LeCun: Dimensionality reduction by learning an invariant mapping (2006). Both means are over the
    images of the batch, so that the many of other classes do not outweigh the few of the same.

    Args:
        margin: Distance beyond which images of other classes do not matter.
    """

    def __init__(self, margin: float):
        super().__init__(name="contrastive")
        self._margin = margin

    def losses(self, classes: Any, vectors: Any) -> tuple[Any, Any]:
        """Return the loss of each image as a."""
        distances, positive, negative = _pairs(classes, vectors)
        near = _mean(ops.square(distances), positive)
        far = _mean(ops.square(ops.relu(self._margin - distances)), negative)
        return (near + far) / 2, _has(positive) | _has(negative)


class ArcFaceLoss(EmbeddingLoss):
    """Cross-entropy of a softmax over `scale * cos(angle to the center of each class)`, with `margin` added to one.

    That is the angle to the center of the image's own class. Where it would exceed 180 degrees, `margin * sin(margin)`
    is subtracted from the cosine instead, which goes on falling. Deng et al., arXiv:1801.07698.

    The centers are weights of the loss: trained and saved in checkpoints with the network that is compiled with it, but
    no part of the model.

    Args:
        classes: Number of classes.
        size: Length of the embeddings.
        margin: In radians.
        scale: Factor of the cosines.
    """

    def __init__(self, classes: int, size: int, *, margin: float, scale: float):
        super().__init__(name="arcface")
        self._margin, self._scale = margin, scale
        self.centers = ClassCenters(classes, size)

    def losses(self, classes: Any, vectors: Any) -> tuple[Any, Any]:
        """Return the cross-entropy of each image."""
        cosines = ops.clip(ops.matmul(vectors, ops.transpose(ops.normalize(self.centers.directions))), -1.0, 1.0)
        own = ops.one_hot(classes, cosines.shape[-1])
        cosine = ops.sum(own * cosines, axis=1)
        sine = ops.sqrt(ops.maximum(1 - ops.square(cosine), SMALLEST))
        moved = cosine * math.cos(self._margin) - sine * math.sin(self._margin)
        beyond = cosine - self._margin * math.sin(self._margin)
        moved = ops.where(cosine > math.cos(math.pi - self._margin), moved, beyond)
        logits = self._scale * (cosines + own * (moved - cosine)[:, None])
        return ops.logsumexp(logits, axis=1) - self._scale * moved, ops.ones_like(cosine)


class ClassCenters(keras.layers.Layer):
    """The center of each class, `(classes, size)`, of any length."""

    def __init__(self, classes: int, size: int):
        super().__init__(name="class_centers", dtype="float32")
        initializer = keras.initializers.RandomNormal(stddev=1.0, seed=0)
        self.directions = self.add_weight(shape=(classes, size), initializer=initializer, name="directions")
        self.built = True


def _pairs(classes: Any, vectors: Any) -> tuple[Any, Any, Any]:
    """Return the distances of all pairs, and which are two images of one class, and of two, as 0 and 1."""
    squared = ops.maximum(2 - 2 * ops.matmul(vectors, ops.transpose(vectors)), SMALLEST)
    same = ops.cast(classes[:, None] == classes[None, :], "float32")
    return ops.sqrt(squared), same - ops.eye(ops.shape(classes)[0]), 1 - same


def _has(pairs: Any) -> Any:
    return ops.any(pairs > 0, axis=1)


def _mean(values: Any, pairs: Any) -> Any:
    return ops.sum(values * pairs, axis=1) / ops.maximum(ops.sum(pairs, axis=1), 1.0)
