"""Base class of the evaluations of all tasks, and the shared parts of their metrics."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..core.short_repr import ShortRepr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPSILON = 1e-7
"""Lower bound of probabilities in logarithms, as in Keras, so that one confident mistake is not infinitely bad."""
Row = dict[str, float | None]
"""Metrics of one class or value by name; None where there is nothing to measure them on."""
Interval = tuple[float, float]
"""Bounds that hold a metric's value on other images of the same kind, with a confidence of 95 %."""


@dataclass(frozen=True)
class BaseEvaluation(ShortRepr):
    """Metrics of one output on a split; the fields that all tasks share."""

    SUMMARY: ClassVar[dict[str, str]]
    """Fields with metrics over all images, by heading; the first is the main one."""

    images: int
    """Number of images."""
    loss: float
    """Default loss of the task on these images."""
    intervals: dict[str, Interval]
    """Confidence interval of the first metric, by its field's name; empty for a single image."""

    @property
    def details(self) -> dict[str, Row]:
        """Metrics of every class or value, by its name."""
        raise NotImplementedError

    @property
    def summary(self) -> Row:
        """Metrics over all images, by heading."""
        return {heading: getattr(self, field) for heading, field in self.SUMMARY.items()}

    def tables(self, labels: Sequence[str]) -> dict[str, list[list[str]]]:
        """Return the CSV tables by file name, with a header, for the task's classes or values of these names."""
        return {}

    def plots(self, labels: Sequence[str]) -> dict[str, "Figure"]:
        """Return the figures by file name, as `tables`."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain numbers, for JSON."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


class VectorEvaluation(BaseEvaluation):
    """Metrics of outputs that are one vector for each image."""

    @classmethod
    @abstractmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the metrics of all images; arrays with one row for each, and names of the classes or values."""


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def rows_by_name(names: Sequence[str], columns: tuple[np.ndarray, ...]) -> dict[str, Row]:
    """Return scikit-learn's precision, recall, F1 and support, each an array over the classes, by class name."""
    keys = ("precision", "recall", "f1-score", "support")
    return {name: dict(zip(keys, map(float, row), strict=True)) for name, *row in zip(names, *columns, strict=True)}


def confusion_table(confusion: np.ndarray, labels: Sequence[str]) -> list[list[str]]:
    """Return the rows of a CSV table: one for each true class, one column for each predicted class."""
    rows = [[label, *map(str, counts)] for label, counts in zip(labels, confusion.tolist(), strict=True)]
    return [["true", *labels], *rows]
