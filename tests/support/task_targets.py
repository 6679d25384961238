"""Valid targets for any model with a head of a task."""

from collections.abc import Callable

import keras
import numpy as np

from pocketzoo.tasks import get_task

IMAGES = 4


def example_targets(task_name: str, model: keras.Model, count: int = IMAGES) -> np.ndarray:
    """Random targets `(count, ...)` in the form of training, for the only output of a model."""
    random, shape = np.random.default_rng(0), model.output_shape[1:]
    make = SPECIAL.get(task_name, _usual)
    return get_task(task_name).check_targets(make(random, task_name, count, shape), "the targets")


def _usual(random: np.random.Generator, task_name: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Class indices, or numbers from 0 to 1, of as many outputs as the last axis has."""
    task = get_task(task_name)
    *sides, num_outputs = shape
    form = (count, *task.target_shape(num_outputs, sides))
    if task.class_indices:
        return random.integers(0, num_outputs, form)
    return random.random(form)


SPECIAL: dict[str, Callable[..., np.ndarray]] = {
    "multi_label": lambda random, task, count, shape: random.integers(0, 2, (count, *shape)),
    "detection": lambda random, task, count, shape: np.concatenate(
        [random.random((count, 2, 2)) / 2, 0.5 + random.random((count, 2, 2)) / 2, np.ones((count, 2, 1))], axis=-1
    ),
    "counting": lambda random, task, count, shape: np.concatenate(
        [random.random((count, 2, 2)), random.integers(0, shape[-1], (count, 2, 1))], axis=-1
    ),
    "sequence": lambda random, task, count, shape: random.integers(0, shape[-1] - 1, (count, 1)),
    "keypoints": lambda random, task, count, shape: random.random((count, shape[0], 2)),
    "image_to_image": lambda random, task, count, shape: random.integers(0, 256, (count, *shape)),
}
"""Functions of a random generator, the task, a number of images and the shape of their outputs, for tasks whose targets
are neither class indices nor numbers from 0 to 1. A new task of that kind adds its own."""
