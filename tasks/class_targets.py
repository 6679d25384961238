"""Targets that are one class for each image."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..core.errors import InputError
from .table_values import parse_label
from .target_form import Labels, Table, TargetForm


class ClassTargets(TargetForm):
    """Class indices, int32 `(count,)`."""

    target_dtype = "int32"
    target_kinds = "iu"
    target_form = "whole numbers (count,), or one-hot rows (count, classes)"
    class_indices = True
    feature_key = "class/label"
    class_unit = "images"
    one_class_per_image = True

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `()`: one index."""
        return ()

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return class_indices(targets) if targets.ndim == 2 else targets

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels, np.ndarray]:
        """Return the classes in alphabetical order."""
        column = columns[str(self.column)]
        values = table.read(column, parse_label)
        labels = sorted(set(values))
        if len(labels) < 2:
            raise InputError(f"{table.path}: column {column!r} has one class only, {labels[0]}; it takes 2 or more.")
        indices = {label: index for index, label in enumerate(labels)}
        return tuple(labels), np.array([indices[value] for value in values], "int32")

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return one index."""
        return np.array([target], "int64")

    def decode(self, values: np.ndarray, num_outputs: int) -> int:
        """Return one index."""
        if len(values) != 1 or values.dtype.kind != "i" or not 0 <= values[0] < num_outputs:
            raise ValueError(f"is {values.tolist()}; classes go from 0 to {num_outputs - 1}.")
        return int(values[0])

    def class_counts(self, targets: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the images of each class."""
        return np.bincount(targets, minlength=num_outputs)


def class_indices(targets: np.ndarray) -> np.ndarray:
    """Return targets without their last axis if it has one index, as in `keras.datasets`, or is one-hot."""
    if targets.shape[-1] == 1:
        return targets[..., 0]
    one_hot = targets.dtype.kind in "iufb" and np.isin(targets, (0, 1)).all() and (targets.sum(axis=-1) == 1).all()
    return targets.argmax(axis=-1) if one_hot else targets
