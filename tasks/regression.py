"""Regression: one or more numbers for each image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from .accumulator import VectorAccumulator
from .bootstrap import intervals, mean_of
from .evaluation import Row, VectorEvaluation, mean_of_known
from .table_values import parse_number
from .target_form import Labels, Table
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras

    from ..layers import RegressionHead

MOST_CAPTIONED = 3
"""Largest number of values in a caption: those with the largest errors."""


class Regression(Task):
    """Unbounded numbers `(batch, values)`; targets are float32 `(count, values)`, in the data's own units."""

    name = "regression"
    of_signals = True
    keras_losses = (
        *("mean_squared_error", "mean_absolute_error", "huber_loss", "huber", "log_cosh", "poisson"),
        *("mean_squared_logarithmic_error", "mean_absolute_percentage_error"),
    )
    target_form = "finite numbers (count,) or (count, values)"
    feature_key = "numbers"
    losses = ("mse", "mae", "huber")
    has_auxiliary_heads = True
    metric = "mean absolute error"
    output_name = "values"
    output_meaning = "one number for each name"
    loss_name = "MAE rise"
    figure_name = "value"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "RegressionHead":
        """Return a head without activation."""
        from ..layers import RegressionHead

        return RegressionHead(
            config.num_outputs, labels=config.labels, dropout=config.dropout, score_map=config.score_map, name=name
        )

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return targets[:, np.newaxis] if targets.ndim == 1 else targets

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels, np.ndarray]:
        """Return one value for each column, named after it."""
        values = [np.array(table.read(column, parse_number), "float32") for column in columns.values()]
        return tuple(columns), np.stack(values, axis=1)

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return the numbers."""
        return target.astype("float32")

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the numbers."""
        if len(values) != num_outputs or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"is {values.tolist()}; it takes {num_outputs} finite numbers.")
        return values.astype("float32")

    def value_statistics(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the range and mean of each value."""
        return {
            label: {"smallest": float(column.min()), "mean": float(column.mean()), "largest": float(column.max())}
            for label, column in zip(labels, targets.T, strict=True)
        }

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the mean absolute error."""
        import keras

        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def accumulator(self, labels: Sequence[str]) -> "ValueAccumulator":
        """Return the accumulator of a `RegressionEvaluation`."""
        return ValueAccumulator(labels)

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the three values that are farthest off; a number is not right or wrong."""
        farthest = np.argsort(-np.abs(output - target), kind="stable")[:MOST_CAPTIONED]
        return "\n".join(f"{labels[i]}: {output[i]:.4g}, is {target[i]:.4g}" for i in farthest), False

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether they are fractions."""
        return labels.dtype.kind == "f" and labels.ndim in (1, 2) and not np.isin(labels, (0, 1)).all()

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether it is a vector of numbers that are no probabilities."""
        probabilities = activation == "sigmoid" or (activation == "softmax" and output_shape[-1] != 1)
        return len(output_shape) == 2 and not probabilities

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return all values."""
        return list(zip(labels, map(float, output), strict=True))

    def format_figure(self, figure: float) -> str:
        """Return six digits."""
        return f"{figure:.6g}"


@dataclass(frozen=True)
class RegressionEvaluation(VectorEvaluation):
    """Metrics of a regression on one split; `loss` is the mean squared error of a value."""

    SUMMARY: ClassVar = {
        "mean absolute error": "mae",
        "root mean square error": "rmse",
        "R2": "r2",
        "loss": "loss",
    }

    mae: float
    """Mean absolute error over all images and values."""
    rmse: float
    """Root of the mean squared error over all images and values."""
    r2: float | None
    """Mean over the values of the share of variance that is explained, 1 at best; None where no value varies."""
    per_output: dict[str, Row]
    """`mae`, `rmse` and `r2` of each value, in its own unit; `r2` is None where its targets do not vary."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of numbers, both `(count, values)`."""
        error = outputs.astype("float64") - targets
        squared, variance = (error**2).mean(axis=0), _variance(targets)
        absolute = np.abs(error).mean(axis=0)
        explained = [float(1 - mse / var) if var else None for mse, var in zip(squared, variance, strict=True)]
        return cls(
            images=len(targets),
            loss=float(squared.mean()),
            intervals=intervals("mae", mean_of(np.abs(error).mean(axis=1)), len(targets)),
            mae=float(absolute.mean()),
            rmse=float(np.sqrt(squared.mean())),
            r2=mean_of_known(explained),
            per_output={
                label: {"mae": float(mae), "rmse": float(np.sqrt(mse)), "r2": r2}
                for label, mae, mse, r2 in zip(labels, absolute, squared, explained, strict=True)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by value."""
        return self.per_output


class ValueAccumulator(VectorAccumulator):
    """Accumulates a `RegressionEvaluation`; keeps the few numbers of each image."""

    evaluation_class: ClassVar[type[VectorEvaluation]] = RegressionEvaluation

    def errors(self) -> np.ndarray:
        """Return the mean absolute error in units of each value's standard deviation."""
        deviation = np.sqrt(_variance(self.targets))
        return (self.absolute_errors / np.where(deviation, deviation, 1)).mean(axis=1)

    @property
    def absolute_errors(self) -> np.ndarray:
        """Absolute error of each value, float64 `(images, values)`."""
        return np.abs(self.outputs.astype("float64") - self.targets)

    @property
    def score(self) -> float:
        """Return the mean absolute error."""
        return float(self.absolute_errors.mean(axis=0).mean())

    @property
    def scores(self) -> np.ndarray:
        """Mean absolute error of each image's values."""
        return self.absolute_errors.mean(axis=1)

    def loss_against(self, reference: Self) -> float | None:
        """Return the rise of the mean absolute error, in units of the targets' mean absolute deviation from the median.

        That is the error of always predicting the median, so a rise of 0.01 is one point of what there is to learn,
        whatever the unit, and a nearly perfect model may lose more than a share of nearly nothing. None where no
        target varies.
        """
        losses = self.losses_against(reference)
        return float(losses.mean()) if losses.size else None

    def losses_against(self, reference: Self) -> np.ndarray:
        """Return the same for each image; an empty array where no target varies."""
        deviation = np.abs(self.targets - np.median(self.targets, axis=0)).mean(axis=0)
        varies = deviation > 0
        if not varies.any():
            return np.empty(0)
        rise = self.absolute_errors - reference.absolute_errors
        return (rise[:, varies] / deviation[varies]).mean(axis=1)


def _variance(targets: np.ndarray) -> np.ndarray:
    """Return the variance of each value in float64: exactly 0 if it is constant, whatever the mean is rounded to."""
    return np.where((targets != targets[:1]).any(axis=0), targets.astype("float64").var(axis=0), 0)
