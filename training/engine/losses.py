"""Losses of a recipe, for class indices or mixed targets, with a weight for each image."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import losses, ops

from ...tasks.classification import log_probabilities
from ...tasks.segmentation import VOID
from ...tasks.texts import PADDING
from ..recipe.loss import (
    CTC,
    SSIM,
    ArcFace,
    Charbonnier,
    Contrastive,
    CrossEntropy,
    Density,
    Dice,
    Focal,
    Hinge,
    Huber,
    KeypointDistance,
    Loss,
    ScoresAndBoxes,
    Triplet,
    Tversky,
)
from .density_loss import DensityLoss
from .detection_losses import DetectionLoss
from .embedding_losses import ArcFaceLoss, ContrastiveLoss, TripletLoss

TINY = 1e-12
SSIM_WINDOW = 11
"""Pixels of the side of the windows of SSIM; the side of the picture where that is smaller."""
Formula = Callable[..., Any]
"""Maps targets and outputs, float32 of one shape, to a loss for each row: the mean over the last axis."""


def make_loss(
    config: Loss | Sequence[Loss],
    class_indices: bool,
    unit: float = 1.0,
    classes: int = 0,
    size: int = 0,
    cells: np.ndarray | None = None,
) -> keras.Loss:
    """Return the loss of a recipe's section, or the sum of several.

    Targets of classes are indices `(batch, ...)` or shares of each class `(batch, ..., classes)`; all others have the
    shape of the outputs, which are probabilities or, for a regression, numbers. Computed in float32.

    Args:
        config: The section.
        class_indices: Whether targets may be class indices.
        unit: What targets and outputs are divided by.
        classes: Number of classes of the targets, for a loss with weights for each.
        size: Length of the outputs, for such a loss.
        cells: Positions of candidates, as `DetectionHead.cells`.
    """
    if isinstance(config, Sequence):
        return WeightedSum(
            [(part.weight, make_loss(part, class_indices, unit, classes, size, cells)) for part in config]
        )
    match config:
        case CTC():
            return TextLoss(name=config.name)
        case Dice():
            return Overlap(0.5, 0.5, class_indices=class_indices, name=config.name)
        case ScoresAndBoxes():
            assert cells is not None
            return DetectionLoss(config, cells)
        case Density():
            return DensityLoss(config)
        case Triplet():
            return TripletLoss(config)
        case Contrastive():
            return ContrastiveLoss(config.margin)
        case ArcFace():
            return ArcFaceLoss(classes, size, margin=config.margin, scale=config.scale)
        case Tversky():
            return Overlap(config.alpha, config.beta, class_indices=class_indices, name=config.name)
        case _:
            formula = _formula(config, class_indices)
            scaled = formula if unit == 1 else lambda t, p: formula(t / unit, p / unit)
            return PointwiseLoss(scaled, class_indices=class_indices, name=config.name)


def _formula(config: Loss, class_indices: bool) -> Formula:
    match config:
        case CrossEntropy(label_smoothing=smoothing):
            return lambda t, p: losses.categorical_crossentropy(t, p, label_smoothing=smoothing)
        case Focal(gamma=gamma, label_smoothing=smoothing):
            # Keras' factor alpha of 0.25 is against its background class; here rare classes are a matter of `data`.
            if class_indices:
                return lambda t, p: losses.categorical_focal_crossentropy(
                    t, p, alpha=1.0, gamma=gamma, label_smoothing=smoothing
                )
            return lambda t, p: _binary_focal(t, p, gamma, smoothing)
        case Hinge():
            return losses.categorical_hinge if class_indices else _binary_hinge
        case Charbonnier(epsilon=epsilon):
            return lambda t, p: ops.mean(ops.sqrt(ops.square(t - p) + epsilon**2), axis=-1)
        case KeypointDistance(visibility_weight=weight):
            return lambda t, p: _keypoint_errors(t, p, weight)
        case SSIM():
            return _dissimilarity
        case Huber(delta=delta):
            return lambda t, p: losses.huber(t, p, delta=delta)
        case _ if config.name == "binary_cross_entropy":
            return lambda t, p: losses.binary_crossentropy(t, p, label_smoothing=config.label_smoothing)
        case _:
            return {"mse": losses.mean_squared_error, "mae": losses.mean_absolute_error}[config.name]


def _binary_focal(targets: Any, outputs: Any, gamma: float, smoothing: float) -> Any:
    """Return the focal loss of each label.

    Keras' own has no finite gradient at an output of exactly 0 or 1 for `gamma` below 1.
    """
    targets = targets * (1 - smoothing) + smoothing / 2
    wrong = 1 - (targets * outputs + (1 - targets) * (1 - outputs))
    factor = ops.power(ops.maximum(wrong, keras.config.epsilon()), gamma)
    return ops.mean(factor * ops.binary_crossentropy(targets, outputs), axis=-1)


def _binary_hinge(targets: Any, outputs: Any) -> Any:
    """Return the hinge loss of probabilities, with both sides mapped from 0..1 to -1..1, where the hinge is defined."""
    return ops.mean(ops.maximum(1 - (2 * targets - 1) * (2 * outputs - 1), 0.0), axis=-1)


def _keypoint_errors(targets: Any, outputs: Any, weight: float) -> Any:
    """Return the loss of each keypoint, `(batch, keypoints)`; targets and outputs are x, y and visibility."""
    visible = ops.cast(targets[..., 2] > 0, outputs.dtype)
    distance = ops.sum(ops.abs(targets[..., :2] - outputs[..., :2]), axis=-1)
    return visible * distance + weight * ops.binary_crossentropy(visible, outputs[..., 2])


def _dissimilarity(targets: Any, outputs: Any) -> Any:
    """Return 1 - SSIM of each picture, for each of its pixels; values are shares of their range."""
    import tensorflow as tf

    side = min(SSIM_WINDOW, *(length for length in outputs.shape[1:3] if length is not None))
    similarity = tf.image.ssim(targets, outputs, max_val=1.0, filter_size=side)
    return ops.broadcast_to((1 - similarity)[:, None, None], ops.shape(outputs)[:-1])


def class_shares(targets: Any, outputs: Any) -> Any:
    """Return the targets of classes as `(batch, ..., classes)`, from that form or from indices."""
    if len(targets.shape) == len(outputs.shape):
        return targets
    return ops.one_hot(ops.cast(targets, "int32"), outputs.shape[-1], dtype=outputs.dtype)


def _known_pixels(targets: Any, outputs: Any) -> Any:
    """Return 1 for the pixels of masks that have a class and 0 for those marked as `VOID`; None for other targets."""
    targets = ops.convert_to_tensor(targets)
    is_mask = len(outputs.shape) > 2 and len(targets.shape) < len(outputs.shape)
    return ops.cast(targets != VOID, "float32") if is_mask else None


def _broadcastable(weights: Any, rank: int) -> Any:
    """Return the weights of images or pixels, in float32 and in a shape that broadcasts to a tensor of that rank."""
    weights = ops.convert_to_tensor(weights, "float32")
    for _ in range(rank - len(weights.shape)):
        weights = ops.expand_dims(weights, -1)
    return weights


class PointwiseLoss(keras.Loss):
    """A loss that is a mean over images, and over their pixels.

    Args:
        formula: The loss of one image or pixel.
        class_indices: Whether targets may be class indices.
    """

    def __init__(self, formula: Formula, *, class_indices: bool, name: str):
        super().__init__(name=name)
        self._formula = formula
        self._class_indices = class_indices

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the mean over images and their pixels with a class, each multiplied by its weight."""
        if sample_weight is not None:
            sample_weight = _broadcastable(sample_weight, len(y_pred.shape) - 1)
        known = _known_pixels(y_true, y_pred) if self._class_indices else None
        if known is not None:
            sample_weight = (
                known / ops.maximum(ops.mean(known), TINY) * (1.0 if sample_weight is None else sample_weight)
            )
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the losses `(batch, ...)`, without the last axis of the outputs."""
        return self._formula(class_shares(y_true, y_pred) if self._class_indices else y_true, y_pred)


class Overlap(keras.Loss):
    """1 - TP / (TP + alpha * FP + beta * FN), with shares that are summed over the batch, mean over its classes.

    A class that does not occur in a batch has no overlap there, and does not count. Salehi et al.: Tversky loss
    function (arXiv:1706.05721); with 0.5 and 0.5 it is the Dice loss (Milletari et al., arXiv:1606.04797).

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        class_indices: Whether targets may be class indices.
    """

    def __init__(self, alpha: float, beta: float, *, class_indices: bool, name: str):
        super().__init__(name=name)
        self._alpha = alpha
        self._beta = beta
        self._class_indices = class_indices

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of the batch; an image of twice the weight counts as two."""
        outputs = ops.convert_to_tensor(y_pred, "float32")
        known = _known_pixels(y_true, outputs) if self._class_indices else None
        targets = ops.convert_to_tensor(y_true, "float32")
        targets = class_shares(targets, outputs) if self._class_indices else targets
        weights = 1.0
        if sample_weight is not None:
            weights = _broadcastable(sample_weight, len(outputs.shape))
        if known is not None:
            weights = weights * known[..., None]

        def total(shares: Any) -> Any:
            return ops.sum(weights * shares, axis=tuple(range(len(outputs.shape) - 1)))

        true_positives, positives = total(targets * outputs), total(targets)
        false_positives, false_negatives = total((1 - targets) * outputs), positives - true_positives
        overlap = ops.divide_no_nan(
            true_positives, true_positives + self._alpha * false_positives + self._beta * false_negatives
        )
        counted = ops.cast(positives > 0, "float32")
        return ops.divide_no_nan(ops.sum(counted * (1 - overlap)), ops.sum(counted))


class TextLoss(keras.Loss):
    """Connectionist temporal classification: minus the logarithm of the probability of the text, mean over images.

    Targets are indices `(batch, longest)`, padded with -1; outputs `(batch, columns, symbols)` are probabilities, whose
    last symbol is the blank.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the losses `(batch,)`."""
        symbols = ops.cast(y_true, "int32")
        columns = ops.broadcast_to(ops.shape(y_pred)[1], ops.shape(y_pred)[:1])
        lengths = ops.sum(ops.cast(symbols != PADDING, "int32"), axis=1)
        # Logarithms of probabilities differ from logits by a constant for each column, which a softmax ignores.
        return ops.nn.ctc_loss(
            ops.maximum(symbols, 0), log_probabilities(y_pred), lengths, columns, mask_index=y_pred.shape[-1] - 1
        )


class WeightedSum(keras.Loss):
    """Weighted sum of several losses of the same output.

    Args:
        parts: Factor and loss of each.
    """

    def __init__(self, parts: Sequence[tuple[float, keras.Loss]]):
        super().__init__(name="sum")
        self._parts = parts

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sum of the losses."""
        return sum(factor * loss(y_true, y_pred, sample_weight) for factor, loss in self._parts)

    @property
    def losses(self) -> list[keras.Loss]:
        """The losses that are added."""
        return [loss for _, loss in self._parts]
