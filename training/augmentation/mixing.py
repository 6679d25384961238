"""Transformations that mix an image with another, and what is to be answered to it likewise."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import betaincinv

from ...core.errors import InputError
from ..data.images import Targets
from ..recipe.augmentation import Augmentation, CutMix, MixUp, transformations
from .draws import Draws
from .rectangles import rectangles

Answers = Any
"""Tensors `(batch, ...)`, one or a dict of them, in which answers to a mixed image can be said: `mixable`."""


def mix_up(options: MixUp, draws: Draws, images: tf.Tensor, answers: Answers) -> tuple[tf.Tensor, Answers]:
    """Every image a weighted mean of itself and the one before it in the batch."""
    share = _beta(options.alpha, draws)
    return _mean(share, images), tf.nest.map_structure(partial(_mean, share), answers)


def cut_mix(options: CutMix, draws: Draws, images: tf.Tensor, answers: Answers) -> tuple[tf.Tensor, Answers]:
    """A rectangle of every image from the one before it in the batch, answers by the area."""
    side = tf.sqrt(1 - _beta(options.alpha, draws))
    pasted = rectangles(images, side, side, draws)
    share = 1 - tf.reduce_mean(tf.cast(pasted, tf.float64), axis=(1, 2, 3))
    return tf.where(pasted, _other(images), images), tf.nest.map_structure(partial(_mean, share), answers)


MIXERS: dict[type, Callable[..., tuple[tf.Tensor, Answers]]] = {MixUp: mix_up, CutMix: cut_mix}


def mixing(augmentation: Augmentation) -> list[str]:
    """The names of those transformations of a policy or a list that mix images."""
    return [step.name for step in transformations(augmentation) if type(step) in MIXERS]


def mixable(name: str, targets: Targets) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function that brings rows of `targets` to a form that can be mixed: float32 `(batch, classes or labels)`.

    Args:
        name: Of the transformation that is to mix them.
        targets: Of a classification, whose rows become one-hot, or of several labels.

    Raises:
        InputError: They are masks or numbers.
    """
    if len(targets.shape) == 1:
        return partial(tf.one_hot, depth=int(targets.max()) + 1)
    if len(targets.shape) > 2 or not np.isin(targets, (0, 1)).all():
        what = "masks" if len(targets.shape) > 2 else "numbers (a regression)"
        raise InputError(f"augmentation {name!r} mixes classes or labels, not {what}; leave it out of the list.")
    return tf.identity


def _beta(alpha: float, draws: Draws) -> tf.Tensor:
    """A number of the distribution Beta(alpha, alpha) for each image, by the inverse of its distribution function."""
    quantiles = tf.numpy_function(partial(betaincinv, alpha, alpha), [draws.uniform(0.0, 1.0)], tf.float64)
    return tf.ensure_shape(quantiles, (None,))


def _mean(share: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    share = tf.reshape(tf.cast(share, values.dtype), (-1, *[1] * (len(values.shape) - 1)))
    return share * values + (1 - share) * _other(values)


def _other(values: tf.Tensor) -> tf.Tensor:
    """Of each image's partner: the one before it, which is another in every epoch, for the order is."""
    return tf.roll(values, 1, axis=0)
