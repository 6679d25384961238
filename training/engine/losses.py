"""The losses of a recipe, for targets as they are and for mixed ones, with a weight for each image."""

from collections.abc import Callable, Sequence

import keras
from keras import losses, ops

from ..recipe.loss import CrossEntropy, Dice, Focal, Hinge, Huber, Loss, Tversky

Formula = Callable[..., object]
"""Targets and answers, float32 of one shape, to a loss for each row: the mean over a row's last axis."""


def make_loss(how: Loss | Sequence[Loss], task: str) -> keras.Loss:
    """The loss of a recipe's section, or the sum of several, for an output that answers `task`.

    Targets of classes are indices `(batch, ...)` or shares of each class `(batch, ..., classes)`; all others have the
    shape of the answers, which are probabilities or, of a regression, numbers. Computed in float32.
    """
    if isinstance(how, Sequence):
        return WeightedSum([(part.weight, make_loss(part, task)) for part in how])
    by_class = task in ("classification", "segmentation")
    match how:
        case Dice():
            return Overlap(0.5, 0.5, by_class=by_class, name=how.name)
        case Tversky():
            return Overlap(how.alpha, how.beta, by_class=by_class, name=how.name)
        case _:
            return OfEach(_formula(how, by_class), by_class=by_class, name=how.name)


def _formula(how: Loss, by_class: bool) -> Formula:
    match how:
        case CrossEntropy(label_smoothing=smoothing):
            return lambda t, p: losses.categorical_crossentropy(t, p, label_smoothing=smoothing)
        case Focal(gamma=gamma, label_smoothing=smoothing):
            # Keras' factor alpha of 0.25 is against its background class; here rare classes are a matter of `data`.
            if by_class:
                return lambda t, p: losses.categorical_focal_crossentropy(
                    t, p, alpha=1.0, gamma=gamma, label_smoothing=smoothing
                )
            return lambda t, p: losses.binary_focal_crossentropy(t, p, gamma=gamma, label_smoothing=smoothing)
        case Hinge():
            return losses.categorical_hinge if by_class else _binary_hinge
        case Huber(delta=delta):
            return lambda t, p: losses.huber(t, p, delta=delta)
        case _ if how.name == "binary_cross_entropy":
            return lambda t, p: losses.binary_crossentropy(t, p, label_smoothing=how.label_smoothing)
        case _:
            return {"mse": losses.mean_squared_error, "mae": losses.mean_absolute_error}[how.name]


def _binary_hinge(targets, answers):
    """Of probabilities: both sides go from 0..1 to -1..1, where the hinge is defined."""
    return ops.mean(ops.maximum(1 - (2 * targets - 1) * (2 * answers - 1), 0.0), axis=-1)


def shares_of_classes(targets, answers):
    """Targets of classes as `(batch, ..., classes)`, from that or from indices."""
    if len(targets.shape) == len(answers.shape):
        return targets
    return ops.one_hot(ops.cast(targets, "int32"), answers.shape[-1], dtype=answers.dtype)


def _spread(weights, rank: int):
    """Weights of images or of their pixels, in float32 and so that they go with a tensor of that rank."""
    weights = ops.convert_to_tensor(weights, "float32")
    for _ in range(rank - len(weights.shape)):
        weights = ops.expand_dims(weights, -1)
    return weights


class OfEach(keras.Loss):
    """A loss that each image has by itself, and each place of one.

    Args:
        formula: The loss.
        by_class: Whether targets may be indices of classes.
    """

    def __init__(self, formula: Formula, *, by_class: bool, name: str):
        super().__init__(name=name)
        self._formula = formula
        self._by_class = by_class

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The mean over images and their places, each times its image's weight."""
        if sample_weight is not None:
            sample_weight = _spread(sample_weight, len(y_pred.shape) - 1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        """`(batch, ...)`, without the last axis of the answers."""
        return self._formula(shares_of_classes(y_true, y_pred) if self._by_class else y_true, y_pred)


class Overlap(keras.Loss):
    """1 - TP / (TP + alpha * FP + beta * FN), of shares that are summed over the batch, mean over its classes.

    A class of which there is nothing in a batch has no overlap to speak of there, and does not count. Salehi et al.:
    Tversky loss function (arXiv:1706.05721); with 0.5 and 0.5 it is Dice's (Milletari et al., arXiv:1606.04797).

    Args:
        alpha: Weight of what is answered wrongly.
        beta: Weight of what is missed.
        by_class: Whether targets may be indices of classes.
    """

    def __init__(self, alpha: float, beta: float, *, by_class: bool, name: str):
        super().__init__(name=name)
        self._alpha = alpha
        self._beta = beta
        self._by_class = by_class

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of the batch; an image of twice the weight counts as two."""
        answers = ops.convert_to_tensor(y_pred, "float32")
        targets = ops.convert_to_tensor(y_true, "float32")
        targets = shares_of_classes(targets, answers) if self._by_class else targets
        weights = 1.0
        if sample_weight is not None:
            weights = _spread(sample_weight, len(answers.shape))

        def total(shares):
            return ops.sum(weights * shares, axis=tuple(range(len(answers.shape) - 1)))

        right, there = total(targets * answers), total(targets)
        false, missed = total((1 - targets) * answers), there - right
        overlap = ops.divide_no_nan(right, right + self._alpha * false + self._beta * missed)
        counted = ops.cast(there > 0, "float32")
        return ops.divide_no_nan(ops.sum(counted * (1 - overlap)), ops.sum(counted))


class WeightedSum(keras.Loss):
    """Several losses of the same output, added up.

    Args:
        parts: Factor and loss of each.
    """

    def __init__(self, parts: Sequence[tuple[float, keras.Loss]]):
        super().__init__(name="sum")
        self._parts = parts

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The sum."""
        return sum(factor * loss(y_true, y_pred, sample_weight) for factor, loss in self._parts)
