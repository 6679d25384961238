"""Whether a model and a dataset can be used together."""

import keras
import numpy as np

from ..core.errors import InputError
from ..core.outputs import by_name, map_outputs
from ..layers import Head
from ..zoo.signature import image_shape
from .augmentation.mixing import mixing
from .data.balance import images_per_epoch
from .data.images import ImageData, ImageSplit, Targets
from .model_outputs import heads_of, tasks_of
from .recipe.recipe import Recipe

REMEDY = (
    "create_model(..., head=data.task, labels=data.labels), or zoo.replace_head(model, data.task, labels=data.labels), "
    "makes a model for this data, and so does `pocketzoo fine-tune`"
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
    check_split(model, data.validation)


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
        # Masks in files were held against the labels when they were read.
        if task in ("classification", "segmentation") and isinstance(targets[name], np.ndarray):
            _check_classes(model, targets[name], classes)


def _check_classes(model: keras.Model, targets: np.ndarray, classes: int) -> None:
    if targets.max(initial=0) >= classes or targets.min(initial=0) < 0:
        wrong = targets.max() if targets.max() >= classes else targets.min()
        raise InputError(f"{model.name} answers {classes} classes, but the data has class {wrong}.")


def check_trainable(data: ImageData, recipe: Recipe) -> None:
    """Raises InputError where there are too few images for a batch, or training shows no image of a class to tell."""
    shown = images_per_epoch(data.train, recipe.data)
    if recipe.batch_size > shown:
        raise InputError(
            f"batch_size is {recipe.batch_size}, but {data.source} has {shown} images to train on in an epoch; it "
            "takes no more."
        )

    def check(task: str, labels: tuple[str, ...], seen: Targets, asked: Targets) -> None:
        if task not in ("classification", "multi_label"):
            return
        counts = [np.bincount(t, minlength=len(labels)) if t.ndim == 1 else t.sum(axis=0) for t in (seen, asked)]
        unseen = [label for label, trained, validated in zip(labels, *counts, strict=True) if validated and not trained]
        if unseen:
            raise InputError(
                f"{data.source}: class {unseen[0]!r} has images in validation but none in train; give each class some."
            )
        if mixing(recipe.augmentation) and not counts[0].all():
            raise InputError(
                f"{data.source}: class {labels[int(np.argmin(counts[0]))]!r} has no image in train; augmentation "
                f"{mixing(recipe.augmentation)[0]!r} takes some of each class."
            )

    map_outputs(check, data.task, data.labels, data.train.labels, data.validation.labels)


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
