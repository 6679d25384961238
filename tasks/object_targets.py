"""Targets that are any number of objects in each image, of which each has a place and a class."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError
from .target_form import TargetForm

NO_CLASS = -1
"""Class of rows that fill up the targets of an image with fewer objects than another."""
TOLERANCE = 1e-3
"""Share of the image by which places may be outside of it by rounding."""


class ObjectTargets(TargetForm):
    """Float32 `(count, most, values)`: rows of a place, as shares of width and height from 0 to 1, and a class.

    Images with fewer than `most` objects have rows of the class -1 besides.
    """

    has_objects = True
    row_values: ClassVar[int]
    """Numbers of a row: those of the place, and the class."""
    row_name: ClassVar[str]
    """What a row is, in messages."""

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(most, values)`."""
        return (None, self.row_values)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether there are place and class of each object."""
        return shape[1:] == (self.row_values,)

    def has_form(self, targets: Any) -> bool:
        """Return False: masks have the same number of axes, so the task is always stated."""
        return False

    @property
    def may_lack_classes(self) -> bool:
        """True: a class may have no object."""
        return True

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Clip places that are outside by rounding, and set those of rows that are no object to 0."""
        if targets.ndim != 3 or targets.shape[-1] != self.row_values or targets.dtype.kind not in self.target_kinds:
            return targets
        targets = targets.astype("float64")
        places, classes = targets[..., :-1], targets[..., -1:]
        is_near = (places > -TOLERANCE) & (places < 1 + TOLERANCE)
        places = np.where(is_near, places.clip(0, 1), places)
        return np.concatenate([np.where(classes == NO_CLASS, 0.0, places), classes], axis=-1)

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        if not np.isfinite(targets).all():
            raise InputError(f"{what} have a value that is no finite number; {self.titled} takes {self.target_form}.")
        for is_wrong, what_is_wrong in self._mistakes(targets, num_outputs):
            if is_wrong.any():
                row, index = np.argwhere(is_wrong)[0]
                found = ", ".join(f"{value:g}" for value in targets[row, index])
                raise InputError(f"{what} have the {self.row_name} {found} in row {row}, which {what_is_wrong}.")

    def _mistakes(self, targets: np.ndarray, num_outputs: int | None) -> list[tuple[np.ndarray, str]]:
        """Return which rows are wrong, bool `(count, most)`, and why; a reason continues "which ..."."""
        places, classes = targets[..., :-1], targets[..., -1]
        real, most = classes != NO_CLASS, np.inf if num_outputs is None else num_outputs - 1
        is_class = (classes >= 0) & (classes <= most) & (classes == np.floor(classes))
        is_outside = ((places < 0) | (places > 1)).any(axis=-1)
        return [
            (real & ~is_class, "has a class that is none"),
            (real & is_outside, "is not within the image, whose sides go from 0 to 1"),
        ]

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return a class that is not below `num_outputs`."""
        highest = int(targets[..., -1].max()) if targets.size else NO_CLASS
        return highest if num_outputs is not None and highest >= num_outputs else None

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of classes."""
        return max(1, int(targets[..., -1].max()) + 1) if targets.size else 1

    def target_text(self, target: np.ndarray, labels: Sequence[str]) -> str:
        """Return how many objects of each class there are, such as `2 cat, 1 dog`."""
        counts = zip(count_objects(target[np.newaxis], len(labels))[0].tolist(), labels, strict=True)
        return ", ".join(f"{count} {label}" for count, label in counts if count) or "none"

    def value_statistics(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the range and mean of the number of objects of each class in an image."""
        return {
            label: {"smallest": float(column.min()), "mean": float(column.mean()), "largest": float(column.max())}
            for label, column in zip(labels, count_objects(targets, len(labels)).T, strict=True)
        }

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return place and class of all objects in a row."""
        return target[target[:, -1] != NO_CLASS].astype("float32").ravel()

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return place and class of the objects, `(objects, values)`."""
        is_whole = len(values) % self.row_values == 0
        rows = values.astype("float32").reshape(-1, self.row_values) if is_whole else None
        try:
            if rows is None or (len(rows) and values.dtype.kind != "f"):
                raise InputError("no rows of floats")
            self._check_values(rows[np.newaxis], "they", num_outputs)
        except InputError:
            raise ValueError(f"is {values.tolist()}; it takes place and class of each object.") from None
        return rows

    def stack(self, targets: Sequence[np.ndarray | int]) -> np.ndarray:
        """Return the targets filled up to as many rows as the image with the most objects has."""
        return padded([np.asarray(target).reshape(-1, self.row_values) for target in targets], values=self.row_values)


def padded(rows: Sequence[np.ndarray], most: int | None = None, *, values: int = 5) -> np.ndarray:
    """Return targets `(images, most, values)`.

    Args:
        rows: Place and class of each object, `(objects, values)` for each image.
        most: Rows for each image; by default those of the image with the most objects.
        values: Numbers of a row: 5 of boxes, 3 of points.
    """
    most = max([1, *map(len, rows)]) if most is None else most
    filled = np.zeros((len(rows), most, values), "float32")
    filled[..., -1] = NO_CLASS
    for target, own in zip(filled, rows, strict=True):
        target[: len(own)] = own
    return filled


def count_objects(targets: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of objects of each class in each image, `(images, classes)`; `targets` as of `padded`."""
    return np.stack([(targets[..., -1] == index).sum(axis=1) for index in range(classes)], axis=-1)
