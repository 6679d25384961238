"""Whether an artifact and a dataset can be used together."""

import numpy as np

from ...core.errors import InputError
from ..data.images import ImageData, ImageSplit
from .answers import Artifact


def describe_artifact(artifact: Artifact, data: ImageData | ImageSplit) -> tuple[str, tuple[str, ...]]:
    """Task and names of what an artifact answers. One that says nothing of itself is taken to answer the data's.

    Raises:
        InputError: It takes images of another size, or answers something else than the data has.
    """
    split = data.test if isinstance(data, ImageData) else data
    _check(artifact, "takes images of", artifact.input.image_shape, split.images.shape)
    if isinstance(split.labels, dict):
        raise InputError(f"{artifact.path} gives one answer, but the data has {', '.join(split.labels)}.")
    if artifact.metadata is None and not isinstance(data, ImageData):
        raise InputError(f"{artifact.path} does not say what it answers; give the whole dataset, which does.")
    if artifact.metadata is None:
        return data.task, data.labels
    task, labels = artifact.metadata.task, tuple(artifact.metadata.labels)
    if isinstance(data, ImageData):
        _check(artifact, "answers", task, data.task)
        unnamed = labels == tuple(map(str, range(len(labels))))
        _check(artifact, "answers", len(labels) if unnamed else labels, len(data.labels) if unnamed else data.labels)
        labels = data.labels
    _check_targets(artifact, task, labels, split)
    return task, labels


def _check_targets(artifact: Artifact, task: str, labels: tuple[str, ...], split: ImageSplit) -> None:
    if task == "embedding":
        raise InputError(f"{artifact.path} answers an embedding, which has no right answer to evaluate by.")
    by_task = {"classification": (), "segmentation": split.images.shape[:2]}
    _check(
        artifact,
        f"answers {task}, whose targets have for an image the shape",
        by_task.get(task, (len(labels),)),
        split.labels.shape[1:],
    )
    if task == "classification" and len(split) and np.max(split.labels) >= len(labels):
        raise InputError(f"{artifact.path} answers {len(labels)} classes; the data has the class {split.labels.max()}.")


def _check(artifact: Artifact, what: str, own: object, given: object) -> None:
    if own != given:
        raise InputError(f"{artifact.path} {what} {own}; the data has {given}.")
