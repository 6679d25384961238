"""Checks that a model and a dataset can be used together."""

import re
from typing import Any

import keras
import numpy as np

from ..core.errors import InputError
from ..core.keras_private import all_layers
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ..core.user_warnings import warn
from ..layers import Head
from ..tasks.registry import get_task
from ..zoo.contract import contract_of, state_contract
from ..zoo.decoded_form import decoded_form
from ..zoo.output_contract import OutputContract
from ..zoo.pixel_range import RAW
from ..zoo.signature import image_shape
from .augmentation.mixing import mixing
from .data.balance import images_per_epoch
from .data.images import ImageData, ImageSplit, Targets
from .model_outputs import heads_of, tasks_of
from .recipe.recipe import Recipe

VALID_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""Names of models that TensorFlow accepts."""
REMEDY = (
    "create_model(..., head=data.task, labels=data.labels), or zoo.replace_head(model, data.task, labels=data.labels), "
    "makes a model for this data, and so does `pocketzoo fine-tune`"
)


def describe_model(
    model: keras.Model,
    data: ImageData | ImageSplit,
    *,
    task: TaskNames | None,
    labels: LabelNames | None,
    pixels: PixelRange | None,
    from_logits: Flags | None,
    verbose: bool,
) -> None:
    """State or infer what the inputs and outputs of `model` mean, with tasks and labels of `data` where none are given.

    Arguments and errors are those of `zoo.contract.state_contract`.
    """
    tasks, names = (data.task, data.labels) if isinstance(data, ImageData) else (data.tasks, None)
    contract = state_contract(
        model,
        task=task,
        labels=labels,
        pixels=pixels,
        from_logits=from_logits,
        known_tasks=tasks,
        known_labels=names,
        likely_range=None if data.pixel_range == RAW else data.pixel_range,
        report=verbose,
    )
    low, high = data.pixel_range
    takes_stored_values = isinstance(contract.pixels, tuple) and contract.pixels[1] > RAW[1]
    if takes_stored_values and data.pixel_range not in (RAW, contract.pixels):
        raise InputError(
            f"{model.name} takes pixels of {_shown(contract.pixels)}, but {data.source} has {low:g}..{high:g}; load "
            "the data with the pixel_range of the model, or adapt the model to it (training.adapt_normalization)."
        )
    if verbose and data.pixel_range not in (RAW, contract.pixels):
        warn(
            f"{model.name} takes pixels of {_shown(contract.pixels)}, to which those of {data.source}, "
            f"{low:g}..{high:g}, are scaled. "
            "Scale images for predictions likewise, or let the model take them as they are: "
            "training.adapt_normalization."
        )


def _shown(pixels: Any) -> str:
    """Return the range of an image, or of several by name, as text."""
    shown = {name: f"{limits[0]:g}..{limits[1]:g}" for name, limits in by_name(pixels).items()}
    return ", ".join(f"{name} {limits}".strip() for name, limits in shown.items())


def check_fit_together(model: keras.Model, data: ImageData) -> None:
    """Raises InputError where the shape of the images, the tasks or the labels of `model` and `data` differ."""
    _check_images(model, data.train)
    tasks = tasks_of(model)
    if tasks != data.task:
        raise InputError(
            f"{model.name} has {_described(tasks)}, but {data.source} has {_described(data.task)}; {REMEDY}."
        )

    def check(labels: tuple[str, ...], output: OutputContract, head: Head | None) -> None:
        classes = output.size
        if classes != len(labels):
            raise InputError(f"{model.name} has {classes} classes, but {data.source} has {len(labels)}; {REMEDY}.")
        if head is not None and head.labels not in (None, list(labels)):
            raise InputError(
                f"{model.name} has the classes {head.labels}, but {data.source} has {list(labels)}; {REMEDY}."
            )

    map_outputs(check, data.labels, contract_of(model).outputs, heads_of(model))
    check_split(model, data.train)
    check_split(model, data.validation)


def check_split(model: keras.Model, split: ImageSplit) -> None:
    """Raises InputError where images or targets of `split` do not have the form that `model` needs."""
    _check_images(model, split)
    tasks, targets = by_name(tasks_of(model)), by_name(split.labels)
    decoded = decoded_form(model)
    shapes = decoded.compute_output_shape((None, *split.images.shape))
    shapes = shapes if isinstance(decoded.output, dict) else {"": shapes[0] if isinstance(shapes, list) else shapes}
    if tasks.keys() != targets.keys():
        raise InputError(f"{model.name} has the outputs {_names(tasks)}, but the data has {_names(targets)}.")
    for name, task_name in tasks.items():
        task = get_task(task_name)
        *sides, classes = shapes[name][1:]
        expected = task.target_shape(classes, sides)
        actual = targets[name].shape[1:]
        if actual != expected:
            raise InputError(
                f"{model.name} has {_described(task_name)}, whose targets have the shape {expected} for an image, but "
                f"the data has {actual}."
            )
        if isinstance(targets[name], np.ndarray):  # masks in files were compared with the labels when they were read
            wrong = task.class_out_of_range(task.without_void(targets[name], split.ignore), classes)
            if wrong is not None:
                raise InputError(f"{model.name} has {classes} classes, but the data has class {wrong}.")


def check_savable(model: keras.Model) -> None:
    """Raises InputError where checkpoints of `model` could not be saved, because a layer has no config."""
    for layer in all_layers(model):
        try:
            layer.get_config()
        except NotImplementedError as error:
            raise InputError(
                f"{model.name} cannot be saved: layer {layer.name} ({type(layer).__name__}) has arguments, but no "
                "get_config; add one that returns them."
            ) from error


def check_trainable(data: ImageData, recipe: Recipe) -> None:
    """Raises InputError where there are too few images for a batch, or no training images of a class to validate."""
    shown = images_per_epoch(data.train, recipe.data)
    if recipe.batch_size > shown:
        raise InputError(
            f"batch_size is {recipe.batch_size}, but {data.source} has {shown} images to train on in an epoch; it "
            "takes no more."
        )

    def check(task_name: str, labels: tuple[str, ...], trained: Targets, validated: Targets) -> None:
        task = get_task(task_name)
        if task.class_unit != "images":
            return
        counts = [task.class_counts(targets, len(labels)) for targets in (trained, validated)]
        unseen = [label for label, train, validation in zip(labels, *counts, strict=True) if validation and not train]
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
    """Sets the labels of `data` on the heads of `model` that have none; the two must fit together."""

    def adopt(labels: tuple[str, ...], head: Head | None) -> None:
        if head is not None and head.labels is None:
            head.labels = list(labels)

    map_outputs(adopt, data.labels, heads_of(model))


def _check_images(model: keras.Model, split: ImageSplit) -> None:
    if not VALID_NAME.fullmatch(model.name):
        raise InputError(
            f"the model is called {model.name!r}, which TensorFlow cannot run; set model.name to letters, digits, '_', "
            "'-' and '.'."
        )
    expected, actual = image_shape(model), split.images.shape
    if any(size not in (None, side) for size, side in zip(expected, actual, strict=True)):
        known = {"image_size": expected[:2], "channels": expected[2]}
        stated = ", ".join(f"{name}={value}" for name, value in known.items() if value and value != (None, None))
        remedy = f"; load files with {stated}" if expected[2] == actual[2] or expected[2] in (1, 3) else ""
        raise InputError(
            f"{model.name} takes images of {expected} (height, width, channels), but the data has {actual}{remedy}."
        )


def _described(tasks: str | dict[str, str]) -> str:
    if isinstance(tasks, dict):
        return f"the outputs {' and '.join(f'{name!r} ({task})' for name, task in tasks.items())}"
    return f"the task {tasks}"


def _names(outputs: dict[str, object]) -> str:
    return ", ".join(name or "one without a name" for name in outputs)
