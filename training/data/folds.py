"""A dataset in parts for cross-validation, each of which validates once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from .images import ImageData, Images, ImageSplit, Shape, Targets

AT_ONCE = 64
"""Images that are read together to tell them from each other."""


def folds_of(data: ImageData, count: int, *, seed: int) -> list[ImageData]:
    """The images of `data.train` and `data.validation` shared out anew, `count` times; the test split stays.

    Each image validates once and trains the other times. Folds are stratified by the classes of the (first)
    classification, if there is one, and copies of an image are in the same fold: which one follows from the rank of the
    hash of its pixels in its class.

    Args:
        data: What to share out.
        count: Number of folds, 2 or more.
        seed: Of the choice.

    Raises:
        InputError: A class has fewer different images than there are folds.
    """
    parts = [data.train, data.validation]
    targets = map_outputs(_joined_targets, *(part.labels for part in parts))
    names, tasks = by_name(data.labels), by_name(data.task)
    stratum = next((name for name, task in tasks.items() if task == "classification"), None)
    contents = [content for part in parts for content in _contents(part.images, seed)]
    classes = np.zeros(len(contents), int) if stratum is None else by_name(targets)[stratum]
    fold = fold_numbers(classes, contents, count)
    for label in np.unique(classes):
        different = len({contents[row] for row in np.flatnonzero(classes == label)})
        if different < count:
            what = f"{data.source}" if stratum is None else f"{data.source}: class {names[stratum][label]!r}"
            raise InputError(f"{what} has {different} different images outside the test split; folds is {count}.")

    def split(rows: np.ndarray) -> ImageSplit:
        images = JoinedImages([part.images for part in parts], rows)
        return ImageSplit(images, map_outputs(lambda of_one: _at(of_one, rows), targets))

    return [
        replace(data, train=split(np.flatnonzero(fold != number)), validation=split(np.flatnonzero(fold == number)))
        for number in range(count)
    ]


def fold_numbers(classes: np.ndarray, contents: Sequence[bytes], count: int) -> np.ndarray:
    """The fold of each image, `0..count - 1`.

    Args:
        classes: Class index of each image.
        contents: What tells each image from another; their order is that in which they are dealt out.
        count: Number of folds.
    """
    dealt: dict[bytes, int] = {}
    for label in np.unique(classes):
        for content in sorted({contents[row] for row in np.flatnonzero(classes == label)} - dealt.keys()):
            dealt[content] = len(dealt) % count  # on from class to class, so that folds are of one size
    return np.array([dealt[content] for content in contents])


def _contents(images: Images, seed: int) -> list[bytes]:
    """A hash of the pixels of each image."""
    starts = range(0, len(images), AT_ONCE)
    batches = (images.take(np.arange(start, min(start + AT_ONCE, len(images)))) for start in starts)
    return [hashlib.sha256(b"%d " % seed + pixels.tobytes()).digest() for batch in batches for pixels in batch]


class JoinedImages:
    """Some of the images of several parts, in any order; nothing is read before it is taken.

    Args:
        parts: Images of one shape.
        rows: Which of them, counted through all parts.
    """

    def __init__(self, parts: Sequence[Images], rows: np.ndarray):
        self._parts = parts
        self._rows = rows
        self.shape: Shape = parts[0].shape

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`."""
        return _gather(self._parts, self._rows[indices], lambda part, rows: part.take(rows))


class JoinedMasks:
    """Some of the masks of several parts, as `JoinedImages`."""

    def __init__(self, parts: Sequence[Targets], rows: np.ndarray):
        self._parts = parts
        self._rows = rows
        self.shape = (len(rows), *parts[0].shape[1:])

    def __len__(self) -> int:
        """Number of masks."""
        return len(self._rows)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """The masks of these rows, int32 of shape `(len(indices), height, width)`."""
        return _gather(self._parts, self._rows[indices], lambda part, rows: part[rows])


def _joined_targets(*parts: Targets) -> np.ndarray | JoinedMasks:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return JoinedMasks(parts, np.arange(sum(map(len, parts))))


def _at(targets: np.ndarray | JoinedMasks, rows: np.ndarray) -> np.ndarray | JoinedMasks:
    return targets[rows] if isinstance(targets, np.ndarray) else JoinedMasks([targets], rows)


def _gather(parts: Sequence, rows: np.ndarray, read: Callable) -> np.ndarray:
    """The `rows`, counted through all `parts`, in their order; `read` gives those of one part."""
    starts = np.cumsum([0, *map(len, parts)])
    of_part = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(of_part, kind="stable")
    taken = [
        read(part, rows[of_part == number] - starts[number])
        for number, part in enumerate(parts)
        if np.any(of_part == number)
    ]
    gathered = np.concatenate(taken)
    result = np.empty_like(gathered)
    result[order] = gathered
    return result
