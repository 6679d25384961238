"""The tasks by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import InputError, unknown
from .anomaly import Anomaly
from .classification import Classification
from .counting import Counting
from .detection import Detection
from .embedding import Embedding
from .image_to_image import ImageToImage
from .keypoints import Keypoints
from .multi_label import MultiLabel
from .raw import Raw
from .regression import Regression
from .segmentation import Segmentation
from .sequence import TextSequence
from .task import Task

_TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Classification(),
        MultiLabel(),
        Regression(),
        Segmentation(),
        ImageToImage(),
        Keypoints(),
        TextSequence(),
        Detection(),
        Counting(),
        Embedding(),
        Anomaly(),
        Raw(),
    )
}
DEFAULT_TASK = Classification.name
"""Task of a vector `(batch, classes)` about which nothing else is known."""


def task_names() -> tuple[str, ...]:
    """Names of all tasks, in the order of registration."""
    return tuple(_TASKS)


def get_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        InputError: The name is unknown; the message suggests similar ones.
    """
    if name not in _TASKS:
        raise unknown("task", name, _TASKS)
    return _TASKS[name]


def register_task(task: Task) -> None:
    """Adds a task, which models, data, training and export then accept by its name.

    Raises:
        InputError: There is a task of that name already.
    """
    if task.name in _TASKS:
        raise InputError(f"there is a task {task.name!r} already; choose another name.")
    _TASKS[task.name] = task


def task_of_layout(layout: str) -> Task | None:
    """Return the task whose targets are in folders of that layout; None where the folders are classes."""
    return next((task for task in _TASKS.values() if task.layout == layout), None)


def task_of_targets(targets: Any) -> str:
    """Return the task of validated targets whose task is not stated, by their form."""
    return next((task.name for task in _TASKS.values() if task.has_form(targets)), DEFAULT_TASK)


def task_of_labels(labels: np.ndarray) -> str | None:
    """Return the task of labels as users have them, by their dtype and form; None for labels of no task."""
    return next((task.name for task in _TASKS.values() if task.suggested_by(labels)), None)


def task_of_loss(name: str | None, rank: int) -> str | None:
    """Return the task of an output by Keras' name of the loss it was compiled with; None if the loss shows none.

    Args:
        name: Such as `"categorical_crossentropy"`.
        rank: Number of axes of the output, with that of the batch.
    """
    tasks = (task for task in _TASKS.values() if rank == task.output_rank)
    return next((task.name for task in tasks if name in task.keras_losses), None)


def recognize_task(output_shape: Sequence[int | None], activation: str | None) -> str:
    """Return the task of an output from no head of the zoo, by its form.

    Args:
        output_shape: Shape with the batch axis, such as `(None, 10)`.
        activation: Keras' name of the last activation, such as `"softmax"`; None if there is none.
    """
    return next(task.name for task in _TASKS.values() if task.recognizes(output_shape, activation))
