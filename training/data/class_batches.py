"""Batches with several images of each of several classes, for losses that compare images with one another."""

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name
from ...tasks.registry import get_task
from ..recipe.recipe import Recipe
from .images import ImageSplit

MOST_BY_DEFAULT = 4
"""Images of each class in a batch, where the recipe does not say."""


def images_per_class(split: ImageSplit, recipe: Recipe) -> int | None:
    """Return the number of images of each class in a batch; None where a batch has any images.

    Raises:
        InputError: The recipe cannot be followed: its batch size is no multiple of the number, or too small, or
            `sampling` balances the classes already.
    """
    stated, size = recipe.data.images_per_class, recipe.batch_size
    if stated is None and not any(get_task(name).compares_images for name in by_name(split.tasks).values()):
        return None
    if recipe.data.sampling != "none":
        raise InputError(
            f"data.sampling is {recipe.data.sampling!r}, but batches have as many images of each class already, as "
            "losses that compare images need it; leave it out."
        )
    fitting = [each for each in range(MOST_BY_DEFAULT, 1, -1) if size % each == 0 and size >= 2 * each]
    if stated is None and not fitting:
        raise InputError(
            f"batch_size is {size}, but an embedding is trained with 2 to {MOST_BY_DEFAULT} images of each of 2 or "
            "more classes in a batch; take a multiple of one of these numbers, such as 32."
        )
    if stated is not None and (size % stated or size < 2 * stated):
        raise InputError(
            f"batch_size is {size}, but data.images_per_class is {stated}; it takes a multiple of that, for 2 or more "
            "classes."
        )
    return stated or fitting[0]


def rows_in_batches(
    classes: np.ndarray, size: int, of_each: int, steps: int, random: np.random.Generator
) -> np.ndarray:
    """Return the rows of the images of `steps` batches in order, int64 `(steps * size,)`.

    The classes of a batch differ, unless there are too few. Each class is drawn as often as any other, and of its
    images each is shown as often as any other, or once more.

    Args:
        classes: Class of each image, `(images,)`.
        size: Images in a batch.
        of_each: Images of each class in a batch.
        steps: Number of batches.
        random: Source of the random numbers.
    """
    present = np.unique(classes)
    groups = size // of_each
    drawn = np.concatenate([_draw(present, groups, random) for _ in range(steps)])
    rows = np.empty((len(drawn), of_each), "int64")
    for label in present:
        places = np.flatnonzero(drawn == label)
        members = np.flatnonzero(classes == label)
        rounds = -(-len(places) * of_each // len(members))
        shown = np.concatenate([members[:0], *(random.permutation(members) for _ in range(rounds))])
        rows[places] = shown[: len(places) * of_each].reshape(len(places), of_each)
    return rows.ravel()


def _draw(labels: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` labels in random order, each once before one comes twice."""
    return np.concatenate([random.permutation(labels) for _ in range(-(-count // len(labels)))])[:count]
