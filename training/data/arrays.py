"""Datasets from arrays in memory, validated and split as files are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.arguments import Seed, check_arguments
from ...core.errors import InputError, unknown
from ...core.outputs import by_name, check_labels, map_outputs
from ...tasks.registry import get_task, task_names
from ...tasks.task import Task
from .images import ArrayImages, ImageData, ImageSplit
from .listing import Listing, Target, check_ignore
from .named_inputs import SOURCE, Arrays, Inputs, Kind, PixelRanges, concatenated, read_inputs
from .partition import partition
from .pixel_format import signal_range
from .splitting import order_splits


@check_arguments
def from_arrays(
    images: Arrays,
    targets: Arrays,
    *,
    labels: Sequence[str] | dict[str, Sequence[str]] | None = None,
    task: str | dict[str, str] = "classification",
    validation: tuple[Arrays, Arrays] | None = None,
    test: tuple[Arrays, Arrays] | None = None,
    seed: Seed = 0,
    pixel_range: PixelRanges | None = None,
    ignore: int | None = None,
    ordered: bool = False,
) -> ImageData:
    """Return a dataset of images in memory.

    If `validation` or `test` is not given, 10 % or 20 % of `images` is used, stratified by class if there are classes;
    copies of an image stay together (with several inputs, where all of them are equal).

    Args:
        images: uint8 0..255, or uint16, other integers or floats of any range, whose values are kept; of shape
            `(count, height, width, channels)` with any number of channels, or gray `(count, height, width)`. For a
            model with several inputs, a dict of arrays by their names: the first image, which is augmented and shown in
            reports; further images; and numbers, vectors or indices `(count, ...)`, which stay as they are.
        targets: True value for each image: class indices `(count,)`, rows of 0 and 1 `(count, labels)`, finite numbers
            `(count,)` or `(count, values)`, or masks `(count, height, width)`. A dict of these by name for several
            outputs.
        labels: Names of the classes, labels or values; by default their indices. A dict for several outputs.
        task: `"classification"`, `"multi_label"`, `"regression"` or `"segmentation"`; a dict for several outputs.
        validation: Images and targets for validation, if they are not to be taken from `images`.
        test: Images and targets for the final evaluation, as `validation`.
        seed: Seed for the split.
        pixel_range: Lowest and highest value that pixels of other dtypes than uint8 may have. Where it is not stated,
            it is inferred with a warning. For several images, a dict by the name of the input.
        ignore: Label of the pixels of masks that have no class, often 255.
        ordered: Whether the images are in the order of time. The missing splits are then the last 20 % for the test and
            the 10 % before them for validation, and each fold of a cross-validation is trained on what was before it,
            so that nothing is predicted from its future.

    Raises:
        InputError: An array does not have the described form, the range of the pixels is not evident, an image is in
            two splits or two classes, or a class has too few.
    """
    splits = {"train": (images, targets), "validation": validation, "test": test}
    parts = {name: part for name, part in splits.items() if part is not None}
    inputs = read_inputs({name: part[0] for name, part in parts.items()}, pixel_range)
    return split_dataset(
        inputs,
        {name: part[1] for name, part in parts.items()},
        labels=labels,
        task=task,
        seed=seed,
        ignore=ignore,
        ordered=ordered,
    )


@check_arguments
def from_signals(
    signals: np.ndarray,
    targets: Arrays,
    *,
    labels: Sequence[str] | dict[str, Sequence[str]] | None = None,
    task: str | dict[str, str] = "classification",
    validation: tuple[Arrays, Arrays] | None = None,
    test: tuple[Arrays, Arrays] | None = None,
    seed: Seed = 0,
    value_range: tuple[float, float] | None = None,
    ignore: int | None = None,
    ordered: bool = False,
) -> ImageData:
    """Return a dataset of signals in memory: sound, accelerations, electrocardiograms, or any other samples in time.

    It goes wherever a dataset of images does. `create_model(..., input_shape=data.image_shape)` makes a model for it,
    and `adapt_normalization(model, data)` lets that take the range of the data.

    Args:
        signals: Numbers `(count, length, channels)`, or `(count, length)` of one channel.
        targets: As in `from_arrays`; of a segmentation a class for each sample, `(count, length)`.
        labels: As in `from_arrays`, and so are `task`, `validation`, `test`, `seed`, `ignore` and `ordered`.
        task: See above.
        validation: See above.
        test: See above.
        seed: See above.
        value_range: Lowest and highest value that samples may have; by default -1..1 if they are within that, or else
            0..255 for uint8, and the range of the samples, which is printed.
        ignore: See above.
        ordered: See above.

    Raises:
        InputError: As in `from_arrays`.
    """
    splits = {"train": (signals, targets), "validation": validation, "test": test}
    parts = {name: part for name, part in splits.items() if part is not None}
    arrays: dict[str, Any] = {name: part[0] for name, part in parts.items()}
    options: dict[str, Any] = {"labels": labels, "task": task, "seed": seed, "ignore": ignore, "ordered": ordered}
    return dataset_of_signals(
        arrays, {name: part[1] for name, part in parts.items()}, value_range=value_range, **options
    )


def dataset_of_signals(
    signals: dict[str, np.ndarray],
    targets: dict[str, Arrays],
    *,
    value_range: tuple[float, float] | None,
    kind: Kind = "signals",
    **options: Any,
) -> ImageData:
    """Return a dataset of signals and targets by split; as `from_signals`, or of volumes."""
    arrays = {name: np.asarray(part) for name, part in signals.items()}
    limits = signal_range(arrays.values()) if value_range is None and kind == "signals" else value_range
    return split_dataset(read_inputs(arrays, limits, kind=kind), targets, **options)


def split_dataset(
    inputs: Inputs,
    targets: dict[str, Arrays],
    *,
    labels: Any = None,
    task: Any = "classification",
    seed: int = 0,
    ignore: int | None = None,
    source: str = SOURCE,
    ordered: bool = False,
) -> ImageData:
    """Return a dataset of validated inputs, whose missing splits are taken from train.

    Arguments and errors are those of `from_arrays`; the targets are by split.
    """
    pixels, split_names = inputs.images, np.repeat(list(targets), list(inputs.counts.values()))
    if ordered:
        split_names = order_splits(split_names)

    def target(task_name: str, output: str = "") -> Target:
        task, by_split = _task(task_name), {name: _targets_of(name, rows, output) for name, rows in targets.items()}
        for name, count in inputs.counts.items():
            if count != len(by_split[name]):
                raise InputError(f"{name} has {count} images and {len(by_split[name])} targets; counts must match.")
        valid = {
            name: task.check_targets(rows, f"the targets of {name}", ignore=ignore, dimensions=pixels.ndim - 2)
            for name, rows in by_split.items()
        }
        rows = concatenated(valid, "targets")
        names = _labels(rows, task, by_name(labels).get(output), ignore)
        if not task.fits_image(rows.shape[1:], len(names), pixels.shape[1:-1]):
            raise InputError(f"targets of the shape {rows.shape} do not go with images of the shape {pixels.shape}.")
        return Target(task_name, names, task.fill_image(rows, pixels.shape[1:-1]))

    if ignore is not None:
        check_ignore(ignore, map_outputs(lambda name: _task(name).name, task), SOURCE)
    found = {name: target(task_name, name) for name, task_name in by_name(task).items()}
    listing = Listing(source, _NumberedImages(pixels, np.arange(len(pixels))), found.get("", found), split_names)
    listings = partition(listing, inputs.contents(), missing=listing.missing, seed=seed)
    train_part, validation_part, test_part = (
        ImageSplit(
            ArrayImages(part.images.pixels),
            map_outputs(lambda target: target.rows, part.targets),
            image_name=inputs.image_name,
            further={name: each.at(part.images.numbers) for name, each in inputs.further.items()},
        )
        for part in listings
    )
    return ImageData(
        source,
        map_outputs(lambda target: target.labels, listing.targets),
        train_part,
        validation_part,
        test_part,
        task=task,
        interpretation=inputs.format.note,
        pixel_range=inputs.format.pixel_range,
        ignore=ignore,
        ordered=ordered,
    )


class _NumberedImages:
    """Images in memory, named by their number in messages."""

    def __init__(self, pixels: np.ndarray, numbers: np.ndarray):
        self.pixels = pixels
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, row: int) -> str:
        return f"image {self.numbers[row]}"

    def at(self, rows: np.ndarray) -> "_NumberedImages":
        return _NumberedImages(self.pixels[rows], self.numbers[rows])


def _task(name: str) -> Task:
    """Return the task of that name, which must have targets."""
    tasks = [known for known in task_names() if get_task(known).has_targets]
    if name not in tasks:
        raise unknown("task", name, tasks)
    return get_task(name)


def _targets_of(split: str, targets: Arrays, output: str) -> np.ndarray:
    if by_name(targets).keys() >= {output}:
        return np.asarray(by_name(targets)[output])
    names = ", ".join(name or "one without a name" for name in by_name(targets))
    raise InputError(f"the targets of {split} are of {names}; task names {output or 'one without a name'}.")


def _labels(targets: np.ndarray, task: Task, names: Sequence[str] | None, ignore: int | None) -> tuple[str, ...]:
    """Names of the classes, labels or values: those of the user, or the task's."""
    count = task.count_outputs(task.without_void(targets, ignore))
    names = check_labels(task.default_labels(targets, ignore) if names is None else names)
    if len(names) < count or (len(names) > count and not task.may_lack_classes):
        raise InputError(f"labels names {len(names)}, but the targets have {count}.")
    return names
