"""Classes of unequal size: how much each image counts, and how often it is shown."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ..recipe.data import Data
from .images import ImageSplit, Targets

BETA = 0.999
"""Of the effective number of samples: however many images a class has, it counts as less than 1 / (1 - BETA)."""
WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverse": lambda counts: 1 / counts,
    "inverse_root": lambda counts: 1 / np.sqrt(counts),
    "effective": lambda counts: (1 - BETA) / (1 - BETA**counts),
}
"""From how many there are of each class to how much one counts; `effective` after Cui et al., arXiv:1901.05555."""
ROWS = 256
"""Masks that are read at a time, to count their classes."""


def weigher(split: ImageSplit, options: Data) -> Callable[[Any], Any] | None:
    """The function from a batch's targets, as training takes them, to its sample weights; None where all count alike.

    An image weighs as its class does, that of the first classification if there are several outputs: `(batch,)`, for
    each of the outputs. Of a segmentation alone, a pixel weighs as its class does: `(batch, height, width)`. The mean
    over the split is 1.

    Raises:
        InputError: The split has neither, or classes are to be shown equally often already.
    """
    if options.class_weights == "none":
        return None
    if options.sampling != "none":
        raise InputError(
            f"data.class_weights {options.class_weights!r} and data.sampling {options.sampling!r} would both make up "
            "for the same; choose one of them."
        )
    name, counts = _classes(split, f"class_weights {options.class_weights!r}", also_masks=True)
    weights = np.zeros(len(counts))
    weights[counts > 0] = WEIGHTS[options.class_weights](counts[counts > 0])
    table = tf.constant(weights * counts.sum() / (weights * counts).sum(), tf.float32)

    def weigh(targets: Any) -> Any:
        classes = by_name(targets)[name]
        of_class = tf.gather(table, classes) if classes.dtype.is_integer else tf.linalg.matvec(classes, table)
        return map_outputs(lambda target: _fitting(of_class, target), targets)

    return weigh


def images_per_epoch(split: ImageSplit, options: Data) -> int:
    """How many images an epoch shows."""
    if options.sampling == "none":
        return len(split)
    _, counts = _classes(split, f"sampling {options.sampling!r}")
    return len(counts[counts > 0]) * _shown(counts, options)


def chosen_images(split: ImageSplit, options: Data, *, seed: int, epoch: int) -> np.ndarray:
    """The rows of the images that an epoch shows, int64 `(images_per_epoch,)`, sorted by class.

    Each image of a class is shown as often as another of it, or once more; which ones, follows from seed and epoch.

    Raises:
        InputError: The split has no classification.
    """
    name, counts = _classes(split, f"sampling {options.sampling!r}")
    classes, shown = by_name(split.labels)[name], _shown(counts, options)
    random = np.random.default_rng([seed, epoch])
    chosen = []
    for label in np.flatnonzero(counts):
        members = np.flatnonzero(classes == label)
        times, rest = divmod(shown, len(members))
        chosen += [np.tile(members, times), random.choice(members, rest, replace=False)]
    return np.concatenate(chosen)


def _shown(counts: np.ndarray, options: Data) -> int:
    """How many images of each class an epoch shows."""
    return int(counts.max() if options.sampling == "over" else counts[counts > 0].min())


def _classes(split: ImageSplit, wanted: str, *, also_masks: bool = False) -> tuple[str, np.ndarray]:
    """The name of the first classification (of the one output, a segmentation too), and how many there are by class."""
    outputs = by_name(split.labels)
    for name, targets in outputs.items():
        if len(targets.shape) == 1 or (also_masks and len(targets.shape) == 3 and len(outputs) == 1):
            return name, _counts(targets)
    raise InputError(f"{wanted} takes data with classes; these are of no classification.")


def _counts(targets: Targets) -> np.ndarray:
    total = np.zeros(0, "int64")
    for start in range(0, len(targets), ROWS):
        counts = np.bincount(np.ravel(targets[np.arange(start, min(start + ROWS, len(targets)))]))
        total.resize(max(len(total), len(counts)), refcheck=False)
        total[: len(counts)] += counts
    return total


def _fitting(weights: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Weights of images in a form that Keras multiplies the losses of `target` by: a mask's are a loss a pixel."""
    masks = len(target.shape) == 3 and len(weights.shape) == 1
    return weights[:, None, None] if masks else weights
