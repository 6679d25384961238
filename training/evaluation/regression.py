"""What is measured of a regression."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .bootstrap import intervals, mean_of
from .figures import Figures, Row, mean_of_known


@dataclass(frozen=True)
class RegressionEvaluation(Figures):
    """Figures of a regression on one split; `loss` is the mean squared error of a number."""

    SUMMARY: ClassVar = {
        "mean absolute error": "mae",
        "root mean square error": "rmse",
        "R2": "r2",
        "loss": "loss",
    }

    mae: float
    """Mean absolute error over all images and numbers."""
    rmse: float
    """Root of the mean squared error over all images and numbers."""
    r2: float | None
    """Mean over the numbers of the share of their variance that is explained, 1 at best; None where none varies."""
    per_output: dict[str, Row]
    """`mae`, `rmse` and `r2` by number, in its own unit; `r2` is None where the true values do not vary."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of numbers `(count, outputs)`, both."""
        error = answers - truth
        squared, variance = (error**2).mean(axis=0), truth.astype("float64").var(axis=0)
        absolute = np.abs(error).mean(axis=0)
        explained = [float(1 - mse / var) if var else None for mse, var in zip(squared, variance, strict=True)]
        return cls(
            images=len(truth),
            loss=float(squared.mean()),
            intervals=intervals("mae", mean_of(np.abs(error).mean(axis=1)), len(truth)),
            mae=float(absolute.mean()),
            rmse=float(np.sqrt(squared.mean())),
            r2=mean_of_known(explained),
            per_output={
                name: {"mae": float(mae), "rmse": float(np.sqrt(mse)), "r2": r2}
                for name, mae, mse, r2 in zip(names, absolute, squared, explained, strict=True)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """By number."""
        return self.per_output
