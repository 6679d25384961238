"""Reading the arrays and splits that users give for calibration and evaluation, and checks on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..tasks.registry import task_of_labels
from ..tasks.task import Task
from .artifact.metadata import InputForm
from .artifact.tensors import RAW, matches_shape, to_range, values_by_name
from .large_arrays import Rows, batch_slices, store_rows
from .pixel_values import check_pixels, range_of

SEED = 0
"""Seed for subsampling."""
LABEL_BYTES = 8
"""Size of a value of labels, at most."""


@dataclass(frozen=True)
class TargetForm:
    """What the targets of an output must be."""

    task: Task
    num_outputs: int | None
    """Number of classes, labels or values; None accepts any."""
    is_used: bool
    """Whether targets are read; otherwise they are ignored."""


def read_source(
    source: Any,
    what: str,
    inputs: Mapping[str, InputForm],
    outputs: Mapping[str, TargetForm],
    most: int | None,
) -> tuple[dict[str, Rows], dict[str, np.ndarray | None], bool]:
    """Read and validate inputs and targets by name; the name of an only one is empty.

    Args:
        source: As in `Samples.for_model`.
        what: What error messages call it.
        inputs: The inputs of the model.
        outputs: Its outputs.
        most: Largest number of rows, subsampled with `SEED`, balanced over classes where they are known.

    Returns:
        Values of the inputs, targets, and whether they are a selection.
    """
    given, targets = _split(source, what, list(inputs))
    is_split = hasattr(source, "images")
    values = given if is_split else {name: _as_array(rows, _of(what, name)) for name, rows in given.items()}
    counts = {name: len(rows) for name, rows in values.items()}
    count = next(iter(counts.values()))
    if is_split and not count:
        raise InputError(f"{what} has no images.")
    if len(set(counts.values())) > 1:
        raise InputError(
            f"{what} has {', '.join(f'{n} rows of {name!r}' for name, n in counts.items())}; give as many."
        )
    ignore = getattr(source, "ignore", None)
    labels = {
        name: None
        if not outputs[name].is_used or each is None
        else _store_labels(each, count, _of(what, name), outputs[name].task, outputs[name].num_outputs, ignore)
        for name, each in _targets_by_name(targets, f"the labels of {what}", list(outputs)).items()
    }
    classes = (each for name, each in labels.items() if each is not None and outputs[name].task.one_class_per_image)
    rows = _subsample(count, next(classes, None), most)
    is_part = len(rows) < count
    read = {
        name: _read_split(each, rows, _of(what, name), inputs[name], source.pixel_ranges[name])
        if is_split
        else _read_array(each[rows] if is_part else each, _of(what, name), inputs[name])
        for name, each in values.items()
    }
    return read, {name: None if each is None else each[rows] for name, each in labels.items()}, is_part


def in_memory(source: Any, what: str) -> Any:
    """Return the arrays of a finite dataset of TensorFlow or Keras, `images` or `(images, labels)`; others as they are.

    Raises:
        InputError: The dataset has no end, or no images.
    """
    from ..core.batched_data import batches_of, joined_batches, with_raw_pixels

    batches = batches_of(source, what)
    if batches is None:
        return source
    joined = joined_batches(batches, what)
    images, *targets = joined if isinstance(joined, tuple) else (joined,)
    images = with_raw_pixels(images)
    return (images, targets[0]) if targets else images


def _of(what: str, name: str) -> str:
    return f"{what} of {name!r}" if name else what


def _split(source: Any, what: str, names: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """Return the values by the name of the input, and the targets, which may be None.

    For several inputs, a pair (inputs, targets) is a tuple whose first item is a dict, a list or a tuple.
    """
    several = len(names) > 1
    if hasattr(source, "images") and hasattr(source, "labels"):
        given = source.inputs
        if set(given) != set(names):
            raise InputError(
                f"{what} is a split with {_listed(given)}, but the model has {_listed(names)}; make the data of a dict "
                "of arrays by these names."
            )
        return {name: given[name] for name in names}, source.labels
    is_pair = isinstance(source, tuple) and len(source) == 2
    if several:
        is_pair = is_pair and isinstance(source[0], Mapping | list | tuple)
    inputs, targets = source if is_pair else (source, None)
    if several:
        return values_by_name(inputs, names, what), targets
    if isinstance(inputs, Mapping) and len(inputs) == 1:
        (inputs,) = inputs.values()
    return {names[0]: inputs}, targets


def _targets_by_name(targets: Any, what: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the targets of each output, which may be None."""
    if list(names) == [""]:
        return {"": targets}
    if targets is None:
        return dict.fromkeys(names)
    if not isinstance(targets, Mapping):
        return values_by_name(targets, names, what)
    for name in targets:
        if name not in names:
            raise InputError(f"{what} has {name!r}; the model has the outputs {', '.join(names)}.")
    return {name: targets.get(name) for name in names}


def _read_array(values: np.ndarray, what: str, form: InputForm) -> Rows:
    if form.pixel_range is None:
        return _check_values(values, what, form)
    for batch in _batches(values, what, form.shape):
        check_pixels(batch, what, form.pixel_range)
    if values.dtype.kind not in "ui" or form.pixel_range == RAW:
        return values
    batches = batch_slices(len(values), 4 * values[0].size)
    return store_rows(to_range(values[batch], form.pixel_range) for batch in batches)


def _listed(names: Iterable[str]) -> str:
    return "one input" if list(names) == [""] else f"the inputs {', '.join(names)}"


def _read_split(values: Any, rows: np.ndarray, what: str, form: InputForm, stored: tuple[float, float] | None) -> Rows:
    if form.pixel_range is None or stored is None:
        return _check_values(values.take(rows), what, form)
    return store_rows(_read_batches(values, rows, what, form.shape, form.pixel_range, stored))


def _check_values(values: np.ndarray, what: str, form: InputForm) -> np.ndarray:
    """Return the values of an input that is no image in the type of the input."""
    kinds = "uif" if form.dtype.startswith("float") else "ui" if form.dtype != "bool" else "b"
    if form.shape == (1,) and values.ndim == 1:  # as Keras does
        values = values[:, np.newaxis]
    if values.dtype.kind not in kinds or values.shape[1:] != tuple(form.shape):
        expected = f"{form.dtype} of shape (count, {', '.join(map(str, form.shape))})"
        raise InputError(f"{what} is {values.dtype} of shape {values.shape}; the model takes {expected}.")
    if not np.isfinite(values).all():
        raise InputError(f"{what} has values that are not finite numbers.")
    converted = values.astype(form.dtype)
    if kinds == "ui" and (converted != values).any():
        raise InputError(f"{what} has values up to {values.max()}, which {form.dtype} cannot hold.")
    return converted


def _subsample(count: int, labels: np.ndarray | None, most: int | None) -> np.ndarray:
    """Indices of at most `most` of `count` images, balanced over the classes in `labels` where they are known.

    Images are taken in rounds, one of each class. Where the last round is too large, as with more classes than images,
    its classes are spread evenly: neighbors are often alike, such as breeds of dogs.
    """
    if most is None or most >= count:
        return np.arange(count)
    classes = np.zeros(count, int) if labels is None else np.asarray(labels)
    random, rank_in_class = np.random.default_rng(SEED), np.zeros(count, int)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        rank_in_class[members] = random.permutation(len(members))
    last = np.sort(rank_in_class)[most - 1]
    whole, part = np.flatnonzero(rank_in_class < last), np.flatnonzero(rank_in_class == last)
    part, wanted = part[np.argsort(classes[part], kind="stable")], most - len(whole)
    return np.sort(np.concatenate([whole, part[np.arange(wanted) * len(part) // wanted]]))


def _as_array(images: Any, what: str) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(images))
    except ValueError as error:  # a list of images of several sizes
        raise InputError(f"{what} has images of several shapes; give them one size.") from error


def _read_batches(
    images: Any,
    rows: np.ndarray,
    what: str,
    shape: tuple[int | None, ...],
    limits: tuple[float, float],
    stored: tuple[float, float],
) -> Iterator[np.ndarray]:
    """Read and validate the images of a split at `rows`, whose pixels are stored in a range of their own."""
    for batch in batch_slices(len(rows), 4 * prod(images.shape)):
        pixels = images.take(rows[batch])
        _check_shape(pixels, len(rows), what, shape)
        if stored != RAW:
            share = (pixels.astype("float32") - stored[0]) / (stored[1] - stored[0])
            pixels = share * (limits[1] - limits[0]) + limits[0]
        check_pixels(pixels, what, limits)
        yield to_range(pixels, limits)


def _batches(images: np.ndarray, what: str, shape: tuple[int | None, ...]) -> Iterator[np.ndarray]:
    _check_shape(images, len(images), what, shape)
    return (images[batch] for batch in batch_slices(len(images), images[0].nbytes))


def _check_shape(images: np.ndarray, count: int, what: str, shape: tuple[int | None, ...]) -> None:
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} has type {images.dtype}; it takes images, (images, labels) or a split.")
    if images.ndim != 4 or not count or not matches_shape(images.shape[1:], shape):
        actual = (count, *images.shape[1:])
        raise InputError(f"{what} has shape {actual}; the model takes (count, {', '.join(map(str, shape))}).")


def likely_tasks(source: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return the task that labels in arrays show, for an output that could have several; None without labels.

    Args:
        source: As in `Samples.for_model`.
        inputs: Names of the inputs, as in `Metadata.input_forms`.
        outputs: Names of the outputs; a dict by name is returned unless the only one is empty.
    """
    if source is None or hasattr(source, "images"):
        return None
    targets = _targets_by_name(_split(source, "evaluation", inputs)[1], "the labels of evaluation", outputs)
    found = {name: None if each is None else task_of_labels(np.asarray(each)) for name, each in targets.items()}
    return found.get("", found)


def likely_ranges(sources: Mapping[str, Any], inputs: Sequence[str]) -> Any:
    """Return the range that float images show, as `range_of`, of the first of `sources` that shows any.

    Args:
        sources: By what messages call them, each as in `Samples.for_model`.
        inputs: Names of the inputs, as in `Metadata.input_forms`; a dict by name is returned for several.
    """
    found: dict[str, Any] = {}
    for what, source in sources.items():
        values = {} if source is None else _split(source, what, inputs)[0]
        images = {name: each for name, each in values.items() if len(inputs) == 1 or np.ndim(each) == 4}
        found = {name: limits for name, each in images.items() if (limits := range_of(each)) is not None} | found
    return found.get("") if list(inputs) == [""] else found


def _store_labels(
    labels: Any, count: int, what: str, task: Task, num_outputs: int | None, ignore: int | None
) -> np.ndarray:
    """Validate labels in batches: masks may be in files, and need not fit in memory. Those to ignore are marked."""
    labels = labels if hasattr(labels, "shape") else np.asarray(labels)
    if len(labels.shape) == 0 or len(labels) != count:
        raise InputError(f"{what} has {count} images, but labels of shape {labels.shape}; give one for each image.")
    batches = batch_slices(count, LABEL_BYTES * prod(labels.shape[1:]))
    return store_rows(
        task.mark_void(
            task.check_targets(
                labels[np.arange(batch.start, batch.stop)],
                f"the labels of {what}",
                num_outputs=num_outputs,
                ignore=ignore,
            ),
            ignore,
        )
        for batch in batches
    )
