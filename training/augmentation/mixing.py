"""Transformations that mix an image with another one of the batch, and their targets accordingly."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf
from scipy.special import betaincinv

from ...core.errors import InputError
from ...tasks.registry import get_task
from ..data.images import Targets
from ..recipe.augmentation import Augmentation, CutMix, MixUp, Mosaic, transformations
from .random_stream import RandomStream

MixedTargets = Any
"""Float32 tensors `(batch, classes or labels)`, one or a dict of them; `mixable` returns them."""


def mix_up(
    options: MixUp, stream: RandomStream, images: tf.Tensor, targets: MixedTargets
) -> tuple[tf.Tensor, MixedTargets]:
    """Replace every image by a weighted mean of itself and the previous image of the batch."""
    share = _draw_beta(options.alpha, stream)
    return _mix(share, images), tf.nest.map_structure(partial(_mix, share), targets)


def cut_mix(
    options: CutMix, stream: RandomStream, images: tf.Tensor, targets: MixedTargets
) -> tuple[tf.Tensor, MixedTargets]:
    """Paste a rectangle from the previous image of the batch into every image; mix targets by area."""
    side = tf.sqrt(1 - _draw_beta(options.alpha, stream))
    pasted = stream.rectangle(images, side, side)
    share = 1 - tf.reduce_mean(tf.cast(pasted, tf.float64), axis=(1, 2, 3))
    return tf.where(pasted, _previous(images), images), tf.nest.map_structure(partial(_mix, share), targets)


MIXERS: dict[type, Callable[..., tuple[tf.Tensor, MixedTargets]]] = {MixUp: mix_up, CutMix: cut_mix}


def mixing(augmentation: Augmentation) -> list[str]:
    """Return the names of the transformations of a policy or a list that mix images."""
    return [step.name for step in transformations(augmentation) if type(step) in MIXERS or isinstance(step, Mosaic)]


def mixable(names: Sequence[str], task_name: str, targets: Targets) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function that converts rows of `targets` for mixing, to float32 `(batch, classes or labels)`.

    Without mixing, and for mosaics, they stay as they are.

    Args:
        names: Names of the transformations that mix images, from `mixing`.
        task_name: Task of the targets.
        targets: Class indices, which become one-hot, or multi-label targets.

    Raises:
        InputError: The task's targets cannot be averaged, or for mosaics, are no objects.
    """
    task = get_task(task_name)
    for name in names:
        is_mosaic = name == Mosaic().name
        if not (task.has_objects if is_mosaic else task.mixable):
            needs = "joins images with the objects in them" if is_mosaic else "mixes classes or labels"
            raise InputError(
                f"augmentation {name!r} {needs}, not the targets of {task.titled}; leave it out of the list."
            )
    if not names or task.has_objects:
        return tf.identity
    return partial(task.soft_targets, num_outputs=task.count_outputs(targets))


def _draw_beta(alpha: float, stream: RandomStream) -> tf.Tensor:
    """Return a number from Beta(alpha, alpha) for each image, by the inverse of the distribution function."""
    quantiles = tf.numpy_function(
        betaincinv, [*[tf.constant(alpha, tf.float64)] * 2, stream.uniform(0.0, 1.0)], tf.float64
    )
    return tf.ensure_shape(quantiles, (None,))


def _mix(share: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    share = tf.reshape(tf.cast(share, values.dtype), (-1, *[1] * (len(values.shape) - 1)))
    return share * values + (1 - share) * _previous(values)


def _previous(values: tf.Tensor) -> tf.Tensor:
    """Return the values of the previous image; its partner differs from epoch to epoch, as the order does."""
    return tf.roll(values, 1, axis=0)
