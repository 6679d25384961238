"""Class imbalance: sample weights by class, and how often each image is shown."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from ...tasks.task import Task
from ..recipe.data import Data
from ..recipe.recipe import Recipe
from .class_batches import images_per_class, rows_in_batches
from .images import ImageSplit, Targets

BETA = 0.999
"""Of the effective number of samples: however many images a class has, it counts as less than 1 / (1 - BETA)."""
WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverse": lambda counts: 1 / counts,
    "inverse_root": lambda counts: 1 / np.sqrt(counts),
    "effective": lambda counts: (1 - BETA) / (1 - BETA**counts),
}
"""Weight of a class by its number of images or pixels; `effective` after Cui et al., arXiv:1901.05555."""
BATCH = 256
"""Targets in files that are read at a time, to count their classes."""


def weigher(split: ImageSplit, options: Data) -> Callable[[Any], Any] | None:
    """Return a function from a batch's targets to its sample weights; None if all have the same weight.

    With a classification among the outputs, an image has the weight of its class in the first one: `(batch,)`, for
    every output. If the only output is a segmentation, a pixel has the weight of its class: `(batch, height, width)`.
    The mean over the split is 1.

    Raises:
        InputError: The split has neither, or sampling already balances the classes.
    """
    if options.class_weights == "none":
        return None
    if options.sampling != "none":
        raise InputError(
            f"data.class_weights {options.class_weights!r} and data.sampling {options.sampling!r} would both balance "
            "the classes; choose one of them."
        )
    name, counts = _classes(split, f"class_weights {options.class_weights!r}", also_pixels=True)
    weights = np.zeros(len(counts))
    weights[counts > 0] = WEIGHTS[options.class_weights](counts[counts > 0])
    tasks = split.tasks  # the function outlives the split where a graph is kept
    table = tf.constant(weights * counts.sum() / (weights * counts).sum(), tf.float32)

    def weigh(targets: Any) -> Any:
        classes = by_name(targets)[name]
        # The weight of a pixel without a class, whose index is below 0, has no effect.
        weight = (
            tf.gather(table, tf.maximum(classes, 0)) if classes.dtype.is_integer else tf.linalg.matvec(classes, table)
        )
        return map_outputs(lambda task, _: _broadcastable(weight, get_task(task)), tasks, targets)

    return weigh


def images_per_epoch(split: ImageSplit, recipe: Recipe) -> int:
    """Return the number of images that an epoch shows."""
    options, size = recipe.data, recipe.batch_size
    if images_per_class(split, recipe) is not None and len(split) >= size:
        return len(split) - len(split) % size
    if options.sampling == "none":
        return len(split)
    _, counts = _classes(split, f"sampling {options.sampling!r}")
    return len(counts[counts > 0]) * _images_per_class(counts, options)


def images_in_batches(split: ImageSplit, recipe: Recipe, of_each: int, *, epoch: int) -> np.ndarray:
    """Return the rows of the images of an epoch in the order of its batches, int64 `(images_per_epoch,)`.

    Args:
        split: Images and targets.
        recipe: Seed and batch size.
        of_each: Result of `images_per_class`.
        epoch: Index of the epoch; a validation has -1.

    Raises:
        InputError: The split has no classification.
    """
    name, _ = _classes(split, "images_per_class")
    count = images_per_epoch(split, recipe)
    size = min(recipe.batch_size, count)
    random = np.random.default_rng([recipe.seed, epoch + 1, 1])
    classes = np.asarray(by_name(split.labels)[name])
    return rows_in_batches(classes, recipe.batch_size, of_each, max(1, count // size), random)[:count]


def chosen_images(split: ImageSplit, options: Data, *, seed: int, epoch: int) -> np.ndarray:
    """Return the rows of the images that an epoch shows, int64 `(images_per_epoch,)`, sorted by class.

    Each image of a class is shown as often as any other, or once more; which ones, follows from seed and epoch.

    Raises:
        InputError: The split has no classification.
    """
    name, counts = _classes(split, f"sampling {options.sampling!r}")
    classes, shown = by_name(split.labels)[name], _images_per_class(counts, options)
    random = np.random.default_rng([seed, epoch])
    chosen = []
    for label in np.flatnonzero(counts):
        members = np.flatnonzero(classes == label)
        times, rest = divmod(shown, len(members))
        chosen += [np.tile(members, times), random.choice(members, rest, replace=False)]
    return np.concatenate(chosen)


def _images_per_class(counts: np.ndarray, options: Data) -> int:
    """Return the number of images of each class that an epoch shows."""
    return int(counts.max() if options.sampling == "over" else counts[counts > 0].min())


def _classes(split: ImageSplit, option: str, *, also_pixels: bool = False) -> tuple[str, np.ndarray]:
    """Return the first output with one class for each image (or, if there is one output, for each pixel), and counts by
    class."""
    outputs = by_name(split.labels)
    for name, task_name in by_name(split.tasks).items():
        task = get_task(task_name)
        if task.one_class_per_image or (also_pixels and task.class_indices and len(outputs) == 1):
            return name, _counts(task, outputs[name], split.ignore)
    raise InputError(f"{option} takes data with classes; these are of no classification.")


def _counts(task: Task, targets: Targets, ignore: int | None) -> np.ndarray:
    total = np.zeros(0, "int64")
    for start in range(0, len(targets), BATCH):
        rows = targets[np.arange(start, min(start + BATCH, len(targets)))]
        counts = task.class_counts(task.mark_void(rows, ignore), 0)
        total.resize(max(len(total), len(counts)), refcheck=False)
        total[: len(counts)] += counts
    return total


def _broadcastable(weights: tf.Tensor, task: Task) -> tf.Tensor:
    """Return the weights in a shape that Keras multiplies a task's losses by: a map has a loss for each pixel."""
    return weights[:, None, None] if task.covers_image and len(weights.shape) == 1 else weights
