"""Checks that an artifact and a dataset can be used together."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from ...tasks.target_form import fits_shape
from ...tasks.task import Task
from ..data.images import ImageData, ImageSplit, Targets
from .predictor import Artifact


def describe_artifact(artifact: Artifact, data: ImageData | ImageSplit) -> tuple[Any, Any]:
    """Return the task and labels of each output of an artifact; those of the data for one without metadata.

    Raises:
        InputError: The artifact has other inputs or outputs, takes images of another size, or its task or labels are
            not those of the data.
    """
    split = data.test if isinstance(data, ImageData) else data
    _check_inputs(artifact, split)
    own, other = by_name(artifact.output), by_name(split.labels)
    if own.keys() != other.keys():
        raise InputError(f"{artifact.path} has {_outputs(own)}, but the data has {_outputs(other)}.")
    forms = artifact.output_forms
    if forms is None:
        if not isinstance(data, ImageData):
            raise InputError(f"{artifact.path} has no metadata about its output; give the whole dataset, which has it.")
        return data.task, data.labels
    tasks, labels = map_outputs(lambda form: form.task, forms), map_outputs(lambda form: tuple(form.labels), forms)
    if isinstance(data, ImageData):
        _check(artifact, "has the task", tasks, data.task)
        labels = map_outputs(lambda *names: _known_labels(artifact, *names), tasks, labels, data.labels)
    else:
        labels = map_outputs(lambda task, own: labels_of(get_task(task), own, data), tasks, labels)
    map_outputs(lambda *output: _check_targets(artifact, split, *output), tasks, labels, split.labels)
    return tasks, labels


def state_of_artifact(artifact: Artifact, data: ImageData | ImageSplit, **statements: Any) -> Artifact:
    """Return an artifact with what is stated about it and what the data tells, if another tool wrote its file.

    Args:
        artifact: The artifact.
        data: Its task and labels apply where nothing else is stated.
        statements: `task`, `labels`, `pixels` and `from_logits`; None where nothing is stated.

    Raises:
        InputError: A statement does not fit the artifact, or one is missing.
    """
    if artifact.contract is None:
        return artifact
    known = (data.task, data.labels) if isinstance(data, ImageData) else (data.tasks, None)
    artifact = artifact.state(**statements, known_task=known[0], known_labels=known[1])
    artifact.report_contract()
    return artifact


def _check_inputs(artifact: Artifact, split: ImageSplit) -> None:
    own = {name: tensor.value_shape for name, tensor in by_name(artifact.input).items()}
    given = {name: each.shape for name, each in split.inputs.items()}
    if len(split.images.shape) == 2:  # files take signals as images of one row
        given[split.image_name] = (1, *split.images.shape)
    if len(own) == 1 and len(given) == 1:
        _check(artifact, "takes images of", *own.values(), *given.values())
    elif own.keys() != given.keys():
        names = ", ".join(given) if split.further else "images alone"
        raise InputError(f"{artifact.path} takes the inputs {', '.join(own)}; the data has {names}.")
    else:
        for name, shape in own.items():
            _check(artifact, f"takes as {name!r} values of", shape, given[name])


def _outputs(names: Iterable[str]) -> str:
    return "one output" if list(names) == [""] else f"the outputs {', '.join(names)}"


def labels_of(task: Task, own: Sequence[str], split: ImageSplit) -> list[str]:
    """Return the labels of a model, or those of the split where they name the targets alone and no outputs."""
    if task.names_outputs:
        return list(own)
    if isinstance(split.names, tuple):
        return list(split.names)
    classes = max(int(np.max(np.asarray(targets), initial=0)) for targets in by_name(split.labels).values())
    return list(map(str, range(classes + 1)))


def _known_labels(artifact: Artifact, task: str, own: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of the data, which must be those of the artifact where it has names."""
    if not get_task(task).names_outputs:
        return given
    if own == tuple(map(str, range(len(own)))):
        _check(artifact, "has this many classes:", len(own), len(given))
    else:
        _check(artifact, "has the classes", own, given)
    return given


def _check_targets(
    artifact: Artifact, split: ImageSplit, task_name: str, labels: tuple[str, ...], targets: Targets
) -> None:
    task = get_task(task_name)
    if not task.has_targets:
        raise InputError(f"{artifact.path} outputs an {task_name}, which has no targets to evaluate it with.")
    expected = task.target_shape(len(labels), split.images.shape[:-1])
    if not fits_shape(targets.shape[1:], expected):
        what = f"has the task {task_name}, whose targets have for an image the shape"
        raise InputError(f"{artifact.path} {what} {expected}; the data has {targets.shape[1:]}.")
    if isinstance(targets, np.ndarray):  # masks in files were compared with the labels when they were read
        wrong = task.class_out_of_range(task.without_void(targets, split.ignore), len(labels))
        if wrong is not None:
            raise InputError(f"{artifact.path} has {len(labels)} classes; the data has the class {wrong}.")


def _check(artifact: Artifact, what: str, own: object, other: object) -> None:
    if own != other:
        raise InputError(f"{artifact.path} {what} {own}; the data has {other}.")
