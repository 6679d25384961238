"""Whether a model and a dataset can be used together."""

import keras

from ..layers import Head
from ..zoo.errors import InputError
from ..zoo.inputs import image_shape
from .data.images import ImageData, ImageSplit
from .outputs import by_name, map_outputs
from .tasks import heads_of, tasks_of

REMEDY = (
    "create_model(..., head=data.task, labels=data.labels), or zoo.replace_head(model, data.task, labels=data.labels), "
    "makes a model for this data"
)


def check_fit_together(model: keras.Model, data: ImageData) -> None:
    """Raises InputError where `model` takes other images than `data` has, or answers something else."""
    _check_images(model, data.train)
    tasks = tasks_of(model)
    if tasks != data.task:
        raise InputError(
            f"{model.name} answers {_described(tasks)}, but {data.source} has {_described(data.task)}; {REMEDY}."
        )

    def check(labels: tuple[str, ...], output: keras.KerasTensor, head: Head | None) -> None:
        classes = output.shape[-1]
        if classes != len(labels):
            raise InputError(f"{model.name} answers {classes} classes, but {data.source} has {len(labels)}; {REMEDY}.")
        if head is not None and head.labels not in (None, list(labels)):
            raise InputError(f"{model.name} answers {head.labels}, but {data.source} has {list(labels)}; {REMEDY}.")

    map_outputs(check, data.labels, model.output, heads_of(model))
    check_split(model, data.train)


def check_split(model: keras.Model, split: ImageSplit) -> None:
    """Raises InputError where `model` takes other images than `split` has, or its answers have another form."""
    _check_images(model, split)
    tasks, targets = by_name(tasks_of(model)), by_name(split.labels)
    shapes = by_name(model.compute_output_shape((None, *split.images.shape)))
    if tasks.keys() != targets.keys():
        raise InputError(f"{model.name} has the outputs {_names(tasks)}, but the data has {_names(targets)}.")
    for name, task in tasks.items():
        *sides, classes = shapes[name][1:]
        wanted = {"classification": (), "segmentation": tuple(sides)}.get(task, (classes,))
        given = targets[name].shape[1:]
        if given != wanted:
            raise InputError(
                f"{model.name} answers {_described(task)}, whose targets have the shape {wanted} for an image, but the "
                f"data has {given}."
            )
        if task == "classification" and targets[name].max(initial=0) >= classes:
            raise InputError(f"{model.name} answers {classes} classes, but the data has class {targets[name].max()}.")


def adopt_labels(model: keras.Model, data: ImageData) -> None:
    """Gives the labels of `data` to the heads of `model` that have none; the two must fit together."""

    def adopt(labels: tuple[str, ...], head: Head | None) -> None:
        if head is not None and head.labels is None:
            head.labels = list(labels)

    map_outputs(adopt, data.labels, heads_of(model))


def _check_images(model: keras.Model, split: ImageSplit) -> None:
    wanted, given = image_shape(model), split.images.shape
    if any(size not in (None, have) for size, have in zip(wanted, given, strict=True)):
        raise InputError(f"{model.name} takes images of {wanted} (height, width, channels), but the data has {given}.")


def _described(tasks: str | dict[str, str]) -> str:
    if isinstance(tasks, dict):
        return " and ".join(f"{name!r} ({task})" for name, task in tasks.items())
    return f"a {tasks}"


def _names(outputs: dict[str, object]) -> str:
    return ", ".join(name or "one without a name" for name in outputs)
