"""Checks that a model and a dataset can be used together."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..core.errors import InputError
from ..core.keras_private import all_layers
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ..core.user_warnings import warn
from ..layers import Head
from ..tasks.registry import get_task
from ..tasks.target_form import fits_shape
from ..tasks.task import Task
from ..zoo.contract import contract_of, state_contract
from ..zoo.decoded_form import decoded_form
from ..zoo.output_contract import OutputContract
from ..zoo.pixel_range import RAW, Range
from .augmentation.mixing import mixing
from .data.balance import images_per_epoch
from .data.images import ImageData, ImageSplit, Targets
from .data.pipeline import augmented_images
from .input_compatibility import check_inputs, further_maps
from .model_outputs import heads_of, tasks_of
from .recipe.augmentation import OF_COLORS, Augmentation, Flip, Function, transformations
from .recipe.loss import ArcFace
from .recipe.recipe import Recipe
from .recipe.user_functions import name_of

REMEDY = (
    "create_model(..., head=data.task, labels=data.labels), or zoo.replace_head(model, data.task, labels=data.labels), "
    "makes a model for this data, and so does `pocketzoo fine-tune`"
)


def describe_model(
    model: keras.Model,
    data: ImageData | ImageSplit,
    *,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
    verbose: bool = True,
) -> None:
    """State or infer what the inputs and outputs of `model` mean, with tasks and labels of `data` where none are given.

    Arguments and errors are those of `zoo.contract.state_contract`.
    """
    tasks, names = (data.task, data.labels) if isinstance(data, ImageData) else (data.tasks, None)
    ranges = {name: limits for name, limits in _split_of(data).pixel_ranges.items() if limits is not None}
    unusual: dict[str, Any] = {name: limits for name, limits in ranges.items() if limits != RAW}
    contract = state_contract(
        model,
        task=task,
        labels=labels,
        pixels=pixels,
        from_logits=from_logits,
        known_tasks=tasks,
        known_labels=names,
        likely_range=unusual.get("", unusual) or None,
        report=verbose,
    )
    for name, expected in by_name(contract.pixels).items():
        limits = unusual.get(name, expected)
        if limits == expected:
            continue
        shown, stored, which = _shown(expected), _shown(limits), f" as {name!r}" if name else ""
        if expected[1] > RAW[1]:
            raise InputError(
                f"{model.name} takes pixels of {shown}{which}, but {data.source} has {stored}; load the data with the "
                "pixel_range of the model, or adapt the model to it (training.adapt_normalization)."
            )
        if verbose:
            warn(
                f"{model.name} takes pixels of {shown}{which}, to which those of {data.source}, {stored}, are scaled. "
                "Scale images for predictions likewise, or let the model take them as they are: "
                "training.adapt_normalization."
            )


def _split_of(data: ImageData | ImageSplit) -> ImageSplit:
    return data.train if isinstance(data, ImageData) else data


def _shown(limits: Range) -> str:
    return f"{limits[0]:g}..{limits[1]:g}"


def check_fit_together(model: keras.Model, data: ImageData) -> None:
    """Raises InputError where the inputs, the tasks or the labels of `model` and `data` differ."""
    check_inputs(model, data.train)
    tasks = tasks_of(model)
    if tasks != data.task:
        raise InputError(
            f"{model.name} has {_described(tasks)}, but {data.source} has {_described(data.task)}; {REMEDY}."
        )

    def check(labels: tuple[str, ...], output: OutputContract, head: Head | None) -> None:
        if not output.task.names_outputs:
            return
        classes = output.size
        if classes == 2 and output.is_single and classes != len(labels):
            raise InputError(
                f"{model.name} has one output, which stands for 2 classes, but {data.source} has {len(labels)}; of "
                "numbers, state task='regression' for the data (from_arrays, as_data); of classes, make a model with "
                "an output for each (zoo.replace_head)."
            )
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
    """Raises InputError where inputs or targets of `split` do not have the form that `model` needs."""
    check_inputs(model, split)
    tasks, targets = by_name(tasks_of(model)), by_name(split.labels)
    shapes = _output_shapes(model, split)
    if tasks.keys() != targets.keys():
        raise InputError(f"{model.name} has the outputs {_names(tasks)}, but the data has {_names(targets)}.")
    for name, task_name in tasks.items():
        task = get_task(task_name)
        *sides, _ = shapes[name][1:]
        classes = task.count_named(shapes[name][1:]) if task.names_outputs else None
        expected = task.target_shape(classes, sides)
        actual = targets[name].shape[1:]
        if not fits_shape(actual, expected):
            raise InputError(
                f"{model.name} has {_described(task_name)}, whose targets have the shape {expected} for an image, but "
                f"the data has {actual}."
            )
        if isinstance(targets[name], np.ndarray):  # masks in files were compared with the labels when they were read
            wrong = task.class_out_of_range(task.without_void(targets[name], split.ignore), classes)
            if wrong is not None:
                raise InputError(f"{model.name} has {classes} classes, but the data has class {wrong}.")
            check_expressible(model.name, task, split, targets[name], shapes[name][1:])


def check_expressible(
    model: str, task: Task, split: ImageSplit, targets: np.ndarray, output_shape: Sequence[int | None]
) -> None:
    """Raise InputError where outputs of that shape for an image cannot express the targets of one."""
    found = task.misfit(targets, output_shape)
    if found is not None:
        row, why = found
        raise InputError(f"{model} cannot be right about {split.name_of(row)}: it has {why}.")


def _output_shapes(model: keras.Model, split: ImageSplit) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output, in the form of its task, for the images of `split`."""
    decoded = decoded_form(model)
    images = {split.image_name, *(name for name, each in split.further.items() if len(each.shape) == 3)}
    named = {name: (None, *each.shape) for name, each in split.inputs.items() if name in images}
    if len(decoded.inputs) > 1:
        named = {name: tensor.shape for name, tensor in decoded.input.items()} | named
    shapes = decoded.compute_output_shape(named.get("", named))
    return shapes if isinstance(decoded.output, dict) else {"": shapes[0] if isinstance(shapes, list) else shapes}


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


def check_strategy(model: keras.Model) -> None:
    """Raise InputError where training a model is called in another `tf.distribute` scope than it was created in."""
    import tensorflow as tf

    current = tf.distribute.get_strategy()
    spread = (each.value for each in model.variables if isinstance(each.value, tf.distribute.DistributedValues))
    own = next((value.distribute_strategy for value in spread), None)
    if own is not None and own is not current:
        raise InputError(
            f"{model.name} was created in the scope of a tf.distribute strategy; train it in the same scope, or save "
            "it and load it with zoo.load_model."
        )
    if own is None and current.num_replicas_in_sync > 1:
        raise InputError(
            f"{model.name} was created outside of the scope of {type(current).__name__}; create and train it in the "
            "same scope, or train it outside."
        )


def check_trainable(data: ImageData, recipe: Recipe) -> None:
    """Raises InputError where the task has no loss, there are too few images for a batch, or no training images of a
    class to validate."""
    for task in map(get_task, by_name(data.task).values()):
        if task.made_by:
            raise InputError(f"{data.source} has the task {task.name}, which no loss trains; {task.made_by} does.")
    shown = images_per_epoch(data.train, recipe)
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
        if task.compares_images:
            _check_compared(data.source, labels, counts[0], counts[1], recipe)
            return
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
    check_augmentation(data.train, recipe.augmentation)
    _check_functions(data, recipe)


def _check_compared(
    source: str, labels: tuple[str, ...], trained: np.ndarray, validated: np.ndarray, recipe: Recipe
) -> None:
    """Raise InputError where a loss that compares images has too few classes, or images of one, to compare.

    Classes that are in validation alone are fine, as embeddings are compared with one another, unless the loss has a
    center for each class.
    """
    present = [label for label, count in zip(labels, trained, strict=True) if count]
    if len(present) < 2:
        raise InputError(f"{source}: all images of train are of class {present[0]!r}; an embedding takes 2 or more.")
    if (trained == 1).any():
        raise InputError(
            f"{source}: class {labels[int(np.argmax(trained == 1))]!r} has one image in train; an embedding takes 2 or "
            "more of each class, to compare them."
        )
    losses = recipe.loss if isinstance(recipe.loss, tuple) else (recipe.loss,)
    unseen = (trained == 0) & (validated > 0)
    if unseen.any() and any(isinstance(loss, ArcFace) for loss in losses):
        raise InputError(
            f"{source}: class {labels[int(np.argmax(unseen))]!r} has images in validation but none in train, so loss "
            "'arcface' has no center for it; give each class some, or take 'triplet'."
        )


def check_augmentation(split: ImageSplit, augmentation: Augmentation) -> None:
    """Raises InputError where transformations of the image alone would make it contradict another input."""
    names, maps = [step.name for step in transformations(augmentation)], further_maps(split)
    if names and maps:
        raise InputError(
            f"augmentation {', '.join(names)} would change the image {split.image_name!r} but not the input "
            f"{maps[0]!r}; set augmentation to 'none' and augment both alike, in the arrays or in layers of the model."
        )
    colors = [step.name for step in transformations(augmentation) if isinstance(step, OF_COLORS)]
    pictures = [task for task in by_name(split.tasks).values() if get_task(task).has_colors]
    if colors and pictures:
        raise InputError(
            f"augmentation {', '.join(colors)} would change the colors of the images but not those of their targets, "
            f"which are pictures ({pictures[0]}); take 'light', or list transformations that move the image alone."
        )
    flips = [step.name for step in transformations(augmentation) if isinstance(step, Flip)]
    ordered = [task for task in by_name(split.tasks).values() if get_task(task).has_order]
    if flips and ordered:
        raise InputError(
            f"augmentation {', '.join(flips)} would mirror the images, but their targets ({ordered[0]}) are read from "
            "left to right; take 'light', or list transformations without it."
        )
    if mixing(augmentation) and split.further:
        raise InputError(
            f"augmentation {mixing(augmentation)[0]!r} mixes images and targets, but not the input "
            f"{next(iter(split.further))!r}; leave it out of the list."
        )


def _check_functions(data: ImageData, recipe: Recipe) -> None:
    """Raise InputError where the first image shows that a function of the user's in the augmentation cannot be used."""
    functions = [step for step in transformations(recipe.augmentation) if isinstance(step, Function)]
    if not functions:
        return
    first, second = (augmented_images(data.train, recipe, np.arange(1), epoch=0) for _ in range(2))
    if not all(map(np.array_equal, keras.tree.flatten(first), keras.tree.flatten(second))):
        names = " or ".join(name_of(step.function) for step in functions)
        raise InputError(
            f"the augmentation function {names} changes an image in another way each time; it must draw its random "
            "numbers from rng, so that a run can be repeated and resumed."
        )


def adopt_labels(model: keras.Model, data: ImageData) -> None:
    """Sets the labels of `data` on the heads of `model` that have none; the two must fit together."""

    def adopt(labels: tuple[str, ...], head: Head | None) -> None:
        if head is not None and head.labels is None and get_task(head.TASK).names_outputs:
            head.labels = list(labels)

    map_outputs(adopt, data.labels, heads_of(model))


def _described(tasks: str | dict[str, str]) -> str:
    if isinstance(tasks, dict):
        return f"the outputs {' and '.join(f'{name!r} ({task})' for name, task in tasks.items())}"
    return f"the task {tasks}"


def _names(outputs: dict[str, object]) -> str:
    return ", ".join(name or "one without a name" for name in outputs)
