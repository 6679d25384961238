"""Metrics of counts: how far they are off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .bootstrap import intervals, mean_of
from .evaluation import Row, VectorEvaluation
from .object_targets import count_objects
from .regression import ValueAccumulator


@dataclass(frozen=True)
class CountEvaluation(VectorEvaluation):
    """Metrics of counts on one split; `loss` is the mean squared error of a count."""

    SUMMARY: ClassVar = {
        "mean absolute error": "mae",
        "root mean square error": "rmse",
        "relative error": "relative_error",
        "loss": "loss",
    }

    mae: float
    """Mean absolute error of the number of objects in an image, over images and classes."""
    rmse: float
    """Root of the mean squared error of that number."""
    relative_error: float | None
    """Sum of the absolute errors over the number of all objects; None where there are none."""
    per_class: dict[str, Row]
    """`mae`, `rmse`, `relative error` and `objects` (their true number) by name."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of counts, both `(images, classes)`."""
        error = np.abs(outputs - targets)
        squared, objects = (error**2).mean(axis=0), targets.sum(axis=0)
        return cls(
            images=len(targets),
            loss=float(squared.mean()),
            intervals=intervals("mae", mean_of(error.mean(axis=1)), len(targets)),
            mae=float(error.mean(axis=0).mean()),
            rmse=float(np.sqrt(squared.mean())),
            relative_error=_share(error.sum(), objects.sum()),
            per_class={
                label: {
                    "mae": float(own.mean()),
                    "rmse": float(np.sqrt(mse)),
                    "relative error": _share(own.sum(), count),
                    "objects": float(count),
                }
                for label, own, mse, count in zip(labels, error.T, squared, objects, strict=True)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by class."""
        return self.per_class


class CountAccumulator(ValueAccumulator):
    """Accumulates a `CountEvaluation`; of each map the counts are kept."""

    evaluation_class = CountEvaluation

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch: points `(count, most, 3)`, densities `(count, rows, columns, classes)`."""
        super().add(count_objects(targets, len(self.labels)), outputs.sum(axis=(1, 2), dtype="float64"))


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
