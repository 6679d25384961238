"""Cross-validation: a dataset in parts, each of which is the validation split once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from .images import FurtherInput, ImageData, Images, ImageSplit, Shape, Targets, dtype_of
from .splitting import ordered_folds

BATCH = 64
"""Images that are read together to compute their hashes."""


def folds_of(data: ImageData, count: int, *, seed: int) -> list[ImageData]:
    """Return `count` datasets that split the images of `data.train` and `data.validation` anew; the test split stays.

    Each image is in validation once and in train the other times. Folds are stratified by the classes of the (first)
    classification, if there is one, and copies of an image are in the same fold: which one follows from the rank of the
    hash of its pixels in its class.

    Of data in the order of time, there is one part more than folds, and each part but the first is validated by a model
    that is trained on the parts before it alone.

    Args:
        data: Dataset to split.
        count: Number of folds, 2 or more.
        seed: Seed for the folds.

    Raises:
        InputError: A class has fewer different images than there are folds.
    """
    parts = [data.train, data.validation]
    targets = map_outputs(_joined_targets, *(part.labels for part in parts))
    if data.ordered:
        chosen = ordered_folds(sum(map(len, parts)), count)
    else:
        chosen = _stratified_folds(data, parts, targets, count, seed)
    further = {name: _joined_inputs([part.further[name] for part in parts]) for name in data.train.further}

    def split(rows: np.ndarray) -> ImageSplit:
        return ImageSplit(
            JoinedImages([part.images for part in parts], rows),
            map_outputs(lambda joined: _at(joined, rows), targets),
            image_name=data.train.image_name,
            further={name: each.at(rows) for name, each in further.items()},
        )

    return [replace(data, train=split(train), validation=split(validation)) for train, validation in chosen]


def _stratified_folds(
    data: ImageData, parts: Sequence[ImageSplit], targets: Any, count: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of train and of validation of each fold; raises InputError where a class has too few images."""
    labels, tasks = by_name(data.labels), by_name(data.task)
    stratum = next((name for name, task in tasks.items() if get_task(task).one_class_per_image), None)
    contents = [content for part in parts for content in _contents(part, seed)]
    classes = np.zeros(len(contents), int) if stratum is None else by_name(targets)[stratum]
    fold = fold_numbers(classes, contents, count)
    for label in np.unique(classes):
        different = len({contents[row] for row in np.flatnonzero(classes == label)})
        if different < count:
            what = f"{data.source}" if stratum is None else f"{data.source}: class {labels[stratum][label]!r}"
            raise InputError(f"{what} has {different} different images outside the test split; folds is {count}.")
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(count)]


def fold_numbers(classes: np.ndarray, contents: Sequence[bytes], count: int) -> np.ndarray:
    """Return the fold of each image, `0..count - 1`.

    Args:
        classes: Class index of each image.
        contents: Hash of each image; images are assigned in the order of their hashes.
        count: Number of folds.
    """
    assigned: dict[bytes, int] = {}
    for label in np.unique(classes):
        for content in sorted({contents[row] for row in np.flatnonzero(classes == label)} - assigned.keys()):
            assigned[content] = len(assigned) % count  # continued from class to class, so that folds are of one size
    return np.array([assigned[content] for content in contents])


def _contents(split: ImageSplit, seed: int) -> list[bytes]:
    """Return the hash of the pixels of each image, and of its values of the other inputs."""
    batches = (np.arange(start, min(start + BATCH, len(split))) for start in range(0, len(split), BATCH))
    return [
        hashlib.sha256(b"%d " % seed + b"".join(values.tobytes() for values in row)).digest()
        for rows in batches
        for row in zip(*(each.take(rows) for each in split.inputs.values()), strict=True)
    ]


def _joined_inputs(parts: Sequence[FurtherInput]) -> FurtherInput:
    rows = [part.take(np.arange(len(part))) for part in parts]
    return FurtherInput(np.concatenate(rows), parts[0].pixel_range)


class JoinedImages:
    """Some of the images of several parts, in any order; nothing is read before it is taken.

    Args:
        parts: Images of one shape.
        rows: Their rows, counted through all parts.
    """

    def __init__(self, parts: Sequence[Images], rows: np.ndarray):
        self._parts = parts
        self._rows = rows
        self.shape: Shape = parts[0].shape
        self.dtype = dtype_of(parts[0])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""
        return _gather(self._parts, self._rows[indices], lambda part, rows: part.take(rows))


class JoinedTargets:
    """Some of the targets of several parts, of which some are in files; as `JoinedImages`."""

    def __init__(self, parts: Sequence[Targets], rows: np.ndarray):
        self._parts = parts
        self._rows = rows
        self.shape = (len(rows), *parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Dtype of training."""
        return self._parts[0].dtype

    def __len__(self) -> int:
        """Return the number of targets."""
        return len(self._rows)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the targets of these rows."""
        return _gather(self._parts, self._rows[indices], lambda part, rows: part[rows])


def _joined_targets(*parts: Targets) -> np.ndarray | JoinedTargets:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return JoinedTargets(parts, np.arange(sum(map(len, parts))))


def _at(targets: np.ndarray | JoinedTargets, rows: np.ndarray) -> np.ndarray | JoinedTargets:
    return targets[rows] if isinstance(targets, np.ndarray) else JoinedTargets([targets], rows)


def _gather(parts: Sequence, rows: np.ndarray, read: Callable) -> np.ndarray:
    """Return the `rows`, counted through all `parts`, in their order; `read` returns those of one part."""
    starts = np.cumsum([0, *map(len, parts)])
    part_of_row = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(part_of_row, kind="stable")
    taken = [
        read(part, rows[part_of_row == number] - starts[number])
        for number, part in enumerate(parts)
        if np.any(part_of_row == number)
    ]
    gathered = np.concatenate(taken)
    result = np.empty_like(gathered)
    result[order] = gathered
    return result
