"""What a user may pass as data besides `ImageData`: a path, arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import keras
import numpy as np

from ...core.arguments import bind_arguments, received
from ...core.batched_data import batches_of, joined_batches, with_raw_pixels
from ...core.errors import InputError
from ...core.keras_private import source_operation
from ...core.outputs import by_name, map_outputs
from ...layers import Head
from ...tasks.registry import get_task, task_names
from ...zoo.contract import known_names, known_range, known_tasks
from ...zoo.functional_form import functional_form
from ...zoo.output_contract import check_order
from ...zoo.pixel_range import Range
from ...zoo.signature import image_shape, input_keys, named_inputs
from .arrays import dataset_of_signals, from_arrays
from .images import ArrayImages, ImageData, ImageSplit
from .named_inputs import Arrays, Kind, read_inputs
from .pixel_format import range_of_model
from .sources import load_data
from .splitting import SPLITS
from .suggested_tasks import LastLayer, last_layers, suggested_task

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

ALLOWED = (
    "an ImageData, a path, (images, targets) as arrays, a tf.data.Dataset or keras.utils.PyDataset of such batches, or "
    "a dict of these with 'train' and 'validation', perhaps 'test'"
)


def accepts_any_data(
    form: Literal["dataset", "split"],
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Let a verb take as its argument `data` whatever `as_data` accepts.

    Args:
        form: What the verb gets of arrays: `"dataset"` with train, validation and test, or `"split"`, all of them.
    """

    def decorate(verb: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        parameters = signature(verb)

        @wraps(verb)
        def with_image_data(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            bound = bind_arguments(verb, parameters, args, kwargs)
            data = bound.arguments.get("data")
            if data is not None and not isinstance(data, ImageData | ImageSplit):
                models = [value for value in bound.arguments.values() if isinstance(value, keras.Model)]
                options = {name: bound.arguments.get(name) for name in ("task", "labels", "pixels")}
                convert = as_data if form == "dataset" else as_split
                bound.arguments["data"] = data = convert(data, models[0] if models else None, **options)
            if isinstance(data, ImageData | ImageSplit):
                bound.arguments["data"] = for_tasks(data, _wanted_tasks(bound.arguments))
            return verb(*bound.args, **bound.kwargs)

        return with_image_data

    return decorate


def for_tasks(data: ImageData | ImageSplit, tasks: Any) -> Any:
    """Return data as that of other tasks, where these take the same targets, such as the classes for an embedding.

    Args:
        data: Any data.
        tasks: Name of the task, or a dict of them by output; None where it is not known.
    """
    own = data.task if isinstance(data, ImageData) else data.tasks
    if isinstance(tasks, dict) != isinstance(own, dict):
        return data
    wanted = by_name(tasks)

    def task_of(name: str, task: str) -> str:
        other = wanted.get(name)
        return other if other in task_names() and task in get_task(other).trained_by else task

    changed = {name: task_of(name, task) for name, task in by_name(own).items()}
    if changed == by_name(own):
        return data
    new = changed.get("", changed)

    def in_form(before: str, task: str, targets: Any) -> Any:
        return targets if task == before else get_task(task).check_targets(targets, "the targets")

    def in_forms(split: ImageSplit) -> ImageSplit:
        return replace(split, task=new, labels=map_outputs(in_form, own, new, split.labels))

    if isinstance(data, ImageSplit):
        return in_forms(data)
    splits: dict[str, Any] = {name: in_forms(getattr(data, name)) for name in SPLITS}
    return replace(data, task=new, **splits)


def _wanted_tasks(arguments: Mapping[str, Any]) -> Any:
    """Return the tasks that are stated, or those of the model; None if unknown."""
    model = next((value for name, value in arguments.items() if name in ("model", "student")), None)
    return arguments["task"] if arguments.get("task") is not None else tasks_wanted_by(model)


def tasks_wanted_by(model: Any) -> Any:
    """Return the tasks of the outputs of a model or an artifact; None if unknown."""
    if isinstance(model, keras.Model) and (tasks := known_tasks(model)) is not None:
        return tasks
    if isinstance(model, keras.Model):
        outputs = getattr(model, "output", None) if getattr(model, "outputs", None) else None
        heads = map_outputs(_head, outputs) if outputs is not None else None
        return None if heads is None else map_outputs(lambda head: head and head.TASK, heads)
    forms = getattr(model, "output_forms", None)
    return None if forms is None else map_outputs(lambda form: form.task, forms)


def as_data(
    data: Any, model: keras.Model | None = None, *, task: Any = None, labels: Any = None, pixels: Any = None
) -> ImageData:
    """Return `data` as a dataset of images.

    Args:
        data: An `ImageData`; a path, as in `load_data`; images and targets as arrays, or a finite `tf.data.Dataset` or
            `keras.utils.PyDataset` of them, which is read once, into memory; or a dict of these by split. Without
            splits, 10 % are for validation and 20 % for the test. In place of images, a model with several inputs takes
            a dict by name, or a tuple or list in its order.
        model: Model that is to be trained on it: gives the size of images in files, and the task of its heads.
        task: Task of the targets; None for that of the model's heads, or else the one that the targets suggest,
            together with the model's last activation and the loss that it was compiled with.
        labels: Names of the classes, labels or values.
        pixels: Range of the pixels of float images, `"0..1"` for example. If None, the range of a model that was used
            before; else the one that their values show.

    Raises:
        InputError: It is none of these, is infinite, has sample weights, or is no valid dataset.
    """
    if isinstance(data, ImageData):
        return data
    if isinstance(data, str | Path):
        *sides, channels = (None,) if model is None else image_shape(functional_form(model))
        if len(sides) == 1:
            return load_data(data, length=sides[0], channels=channels)
        known = [side for side in sides if side is not None]
        size = (known[0], known[1]) if len(known) == 2 else None
        return load_data(data, image_size=size, channels=channels)
    parts = data if isinstance(data, Mapping) else {"train": data}
    if unknown := [name for name in parts if name not in SPLITS]:
        raise InputError(
            f"data has the split {unknown[0]!r}; allowed are {', '.join(SPLITS)} (several inputs by name go with their "
            "targets: ({...}, targets))."
        )
    if "train" not in parts:
        raise InputError("data has no split 'train'; name the images to train on so.")
    arrays = {name: _arrays(part, model) for name, part in parts.items()}
    tasks, names = _meaning(arrays["train"][1], model, task, labels if labels is not None else _names(parts["train"]))
    if (kind := _kind(model)) != "images":
        signals: dict[str, Any] = {name: part[0] for name, part in arrays.items()}
        options: dict[str, Any] = {"labels": names, "task": tasks, "value_range": known_range(model, pixels)}
        return dataset_of_signals(signals, {name: part[1] for name, part in arrays.items()}, kind=kind, **options)
    return from_arrays(
        *arrays["train"],
        labels=names,
        task=tasks,
        validation=arrays.get("validation"),
        test=arrays.get("test"),
        pixel_range=_range_of_model([images for images, _ in arrays.values()], model, pixels),
    )


def as_split(
    data: Any, model: keras.Model | None = None, *, task: Any = None, labels: Any = None, pixels: Any = None
) -> Any:
    """Return `data` for an evaluation: all images of arrays, and of a dict the dataset, of which the test is evaluated.

    Arguments and errors are those of `as_data`.
    """
    if isinstance(data, ImageSplit):
        return data
    if isinstance(data, str | Path | Mapping):
        return as_data(data, model, task=task, labels=labels, pixels=pixels)
    images, targets = _arrays(data, model)
    tasks, names = _meaning(targets, model, task, labels)
    if model is not None and labels is None:
        check_order(model.name, known_names(model) or names, _names(data))
    kind = _kind(model)
    limits = _range_of_model([images], model, pixels) if kind == "images" else known_range(model, pixels)
    inputs = read_inputs({"data": images}, limits, kind=kind)
    count = len(inputs.images)
    if targets_of_other_length := [rows for rows in by_name(targets).values() if len(rows) != count]:
        raise InputError(f"data has {count} images and {len(targets_of_other_length[0])} targets; counts must match.")
    dimensions = inputs.images.ndim - 2
    valid = map_outputs(
        lambda name, rows: get_task(name).check_targets(rows, "the targets", dimensions=dimensions), tasks, targets
    )
    return ImageSplit(
        ArrayImages(inputs.images),
        valid,
        task=tasks,
        pixel_range=inputs.format.pixel_range,
        image_name=inputs.image_name,
        further=inputs.further,
    )


def _kind(model: keras.Model | None) -> Kind:
    """Return what the only input of a model takes; images where nothing tells."""
    inputs = [] if model is None else functional_form(model).inputs
    kinds: dict[int, Kind] = {3: "signals", 5: "volumes"}
    return kinds.get(len(inputs[0].shape), "images") if len(inputs) == 1 else "images"


def _range_of_model(parts: list[Arrays], model: keras.Model | None, pixels: Any) -> Range | None:
    """Return the range that float images of a model with one input have; None where nothing tells it."""
    images = [part for part in parts if not isinstance(part, Mapping)]
    return range_of_model(images, known_range(model, pixels)) if len(images) == len(parts) else None


def _arrays(data: Any, model: keras.Model | None) -> tuple[Arrays, Any]:
    """Return images and targets, a dict of them for several inputs, or outputs."""
    batches = batches_of(data, "data")
    if batches is not None:
        inputs, targets = joined_batches(map(_pair, batches), "data")
        return with_raw_pixels(_inputs(inputs, model)), targets
    if isinstance(data, tuple | list) and len(data) in (2, 3) and not isinstance(data[0], str):
        inputs, targets = _pair(data)
        is_pair = isinstance(inputs, tuple | list) and len(inputs) == 2 and np.ndim(inputs[0]) >= 3
        if is_pair and (model is None or input_keys(functional_form(model)) == [""]):
            raise InputError(
                "data is a pair of (images, targets), which may be train and test or train and validation; give a dict "
                "by these names."
            )
        targets = _array(targets) if isinstance(targets, list) else keras.tree.map_structure(np.asarray, targets)
        return with_raw_pixels(_inputs(inputs, model)), targets
    if hasattr(data, "shape"):
        raise InputError(f"data is {received(data)} without targets; give (images, targets).")
    raise InputError(f"data is {received(data)}; allowed are {ALLOWED}.")


def _pair(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError("data has images without targets; give (images, targets).")
    if len(item) > 2 and item[2] is not None:
        raise InputError("data has sample weights, which are not used; the recipe's data.class_weights weigh classes.")
    return item[0], item[1]


def _inputs(inputs: Any, model: keras.Model | None) -> Arrays:
    """Return images as an array, or several inputs as a dict of arrays by name."""
    if isinstance(inputs, Mapping):
        return {name: _array(rows) for name, rows in inputs.items()}
    form = None if model is None else functional_form(model)
    if form is None or input_keys(form) == [""] or not isinstance(inputs, tuple | list):
        return _array(inputs)
    names = list(named_inputs(form))
    if len(inputs) != len(names):
        raise InputError(f"data has {len(inputs)} inputs, but {form.name} takes {', '.join(names)}.")
    return {name: _array(rows) for name, rows in zip(names, inputs, strict=True)}


def _array(values: Any) -> np.ndarray:
    """Return images or targets as an array, which has at least one row."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different shapes
        array = np.empty(len(values), object)
        if np.ndim(values[0]) >= 2:
            raise InputError(
                "the images in data differ in size or channels; give all of them one shape (height, width, channels), "
                "or a folder, whose images are resized."
            ) from None
    if not array.ndim or not len(array):
        raise InputError(
            f"data has {received(values)} for images or targets; it takes arrays with a row for each image."
        )
    return array


def _meaning(targets: Any, model: keras.Model | None, task: Any, labels: Any) -> tuple[Any, Any]:
    """Return task and labels by output, from what is stated, the heads of the model and the form of the targets."""
    form = None if model is None else functional_form(model)
    outputs = None if form is None else form.output
    heads = map_outputs(_head, outputs) if isinstance(outputs, dict) == isinstance(targets, dict) else {}

    def of(name: str) -> tuple[str, Any]:
        head = by_name(heads).get(name)
        rows = by_name(targets)[name]
        stated = by_name(task).get(name) if task is not None else None
        own = stated or (head.TASK if head is not None else None)
        found = own or suggested_task(rows, None if form is None else _last_layer(form, name))
        if found is None:
            output = f" of {name!r}" if name else ""
            raise InputError(f"the targets{output} are {received(rows)}, which shows no task; state it with task=.")
        names = by_name(labels).get(name) if labels is not None else None
        names = head.labels if names is None and head is not None else names
        return found, _all_classes(rows, by_name(outputs).get(name)) if names is None else names

    meanings = {name: of(name) for name in by_name(targets)}
    tasks, names = ({name: meaning[index] for name, meaning in meanings.items()} for index in (0, 1))
    if isinstance(targets, dict):
        return tasks, {name: own for name, own in names.items() if own is not None} or None
    return tasks[""], names[""]


def _last_layer(model: keras.Model, output: str) -> LastLayer | None:
    """Return the end of a model for an output by name; `""` for the only one."""
    last = last_layers(model)
    return last.get(output, next(iter(last.values())) if len(last) == 1 else None)


def _all_classes(targets: np.ndarray, output: Any) -> list[str] | None:
    """Return the indices of all classes of a model, of which the targets may have fewer; None for other targets."""
    if not isinstance(output, keras.KerasTensor) or targets.ndim != 1 or targets.dtype.kind not in "iu":
        return None
    count = output.shape[-1]
    return list(map(str, range(count))) if count is not None and count > targets.max(initial=0) + 1 else None


def _head(output: Any) -> Head | None:
    operation = source_operation(output) if isinstance(output, keras.KerasTensor) else None
    return operation if isinstance(operation, Head) else None


def _names(data: Any) -> Any:
    """Return the names of the classes that `keras.utils.image_dataset_from_directory` attaches to its dataset."""
    return getattr(data, "class_names", None)
