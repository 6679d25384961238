"""Checks that an artifact and a dataset can be used together."""

import numpy as np

from ...core.errors import InputError
from ...tasks.registry import get_task
from ..data.images import ImageData, ImageSplit
from .predictor import Artifact


def describe_artifact(artifact: Artifact, data: ImageData | ImageSplit) -> tuple[str, tuple[str, ...]]:
    """Return the task and labels of an artifact; those of the data for an artifact without metadata.

    Raises:
        InputError: The artifact takes images of another size, or its task or labels are not those of the data.
    """
    split = data.test if isinstance(data, ImageData) else data
    _check(artifact, "takes images of", artifact.input.image_shape, split.images.shape)
    if isinstance(split.labels, dict):
        raise InputError(f"{artifact.path} has one output, but the data has {', '.join(split.labels)}.")
    if artifact.metadata is None and not isinstance(data, ImageData):
        raise InputError(f"{artifact.path} has no metadata about its output; give the whole dataset, which has it.")
    if artifact.metadata is None:
        return data.task, data.labels
    task, labels = artifact.metadata.task, tuple(artifact.metadata.labels)
    if isinstance(data, ImageData):
        _check(artifact, "has the task", task, data.task)
        if labels == tuple(map(str, range(len(labels)))):  # without names
            _check(artifact, "has this many classes:", len(labels), len(data.labels))
        else:
            _check(artifact, "has the classes", labels, data.labels)
        labels = data.labels
    _check_targets(artifact, task, labels, split)
    return task, labels


def _check_targets(artifact: Artifact, task_name: str, labels: tuple[str, ...], split: ImageSplit) -> None:
    task = get_task(task_name)
    if not task.has_targets:
        raise InputError(f"{artifact.path} outputs an {task_name}, which has no targets to evaluate it with.")
    _check(
        artifact,
        f"has the task {task_name}, whose targets have for an image the shape",
        task.target_shape(len(labels), split.images.shape[:2]),
        split.labels.shape[1:],
    )
    if isinstance(split.labels, np.ndarray):  # masks in files were compared with the labels when they were read
        wrong = task.class_out_of_range(task.without_void(split.labels, split.ignore), len(labels))
        if wrong is not None:
            raise InputError(f"{artifact.path} has {len(labels)} classes; the data has the class {wrong}.")


def _check(artifact: Artifact, what: str, own: object, other: object) -> None:
    if own != other:
        raise InputError(f"{artifact.path} {what} {own}; the data has {other}.")
