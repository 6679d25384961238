"""What the evaluations of all tasks have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

LEAST = 1e-7
"""Probabilities are not taken for less: Keras' own bound, so that one sure mistake is not infinitely bad."""
Row = dict[str, float | None]
"""Figures of one class or number by name; None where there is nothing to measure it on."""
Interval = tuple[float, float]
"""Lowest and highest value of a figure that other images of the same kind would give, with a confidence of 95 %."""


@dataclass(frozen=True)
class Figures:
    """What the evaluations of all tasks have."""

    SUMMARY: ClassVar[dict[str, str]]
    """The fields with figures of the whole, by what people call them; the first is the one that they ask for."""

    images: int
    """How many were evaluated."""
    loss: float
    """What the head's task minimises by default, on these images."""
    intervals: dict[str, Interval]
    """Of the first figure, by the name of its field; none of a single image."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """The figures of `answers`, held against `truth`, a row an image."""
        raise NotImplementedError

    @property
    def details(self) -> dict[str, Row]:
        """The figures of every class or number."""
        raise NotImplementedError

    @property
    def summary(self) -> Row:
        """The figures of the whole, by what people call them."""
        return {heading: getattr(self, field) for heading, field in self.SUMMARY.items()}

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def mean_of_known(figures: Iterable[float | None]) -> float | None:
    """The mean of the figures that there are; None if there is none."""
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None


def rows_by_name(names: list[str], columns: tuple[np.ndarray, ...]) -> dict[str, Row]:
    """Scikit-learn's precision, recall, f1 and support, each an array over the classes, by class."""
    keys = ("precision", "recall", "f1-score", "support")
    return {name: dict(zip(keys, map(float, row), strict=True)) for name, *row in zip(names, *columns, strict=True)}
