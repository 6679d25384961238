"""What is measured of a model's answers, by task."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

LEAST = 1e-7
"""Probabilities are not taken for less: Keras' own bound, so that one sure mistake is not infinitely bad."""
Row = dict[str, float | None]
"""Figures of one class or number by name; None where there is nothing to measure it on."""


@dataclass(frozen=True)
class Figures:
    """What the evaluations of all tasks have."""

    images: int
    """How many were evaluated."""
    loss: float
    """What training minimises, on these images."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """The figures of `answers`, held against `truth`, a row an image."""
        raise NotImplementedError

    @property
    def summary(self) -> Row:
        """The figures of the whole, the one that people ask for first."""
        raise NotImplementedError

    @property
    def details(self) -> dict[str, Row]:
        """The figures of every class or number."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Evaluation(Figures):
    """Figures of a classifier on one split; `loss` is the mean cross-entropy, in nats."""

    accuracy: float
    """Share of the images whose most probable class is the right one, 0..1."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score and support (number of images) by label."""
    confusion: np.ndarray
    """Number of images by true class (row) and predicted class (column)."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of class indices `(count,)` and probabilities `(count, classes)`."""
        from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

        classes = np.arange(len(names))
        predicted = answers.argmax(axis=-1)
        normalized = answers / answers.sum(axis=-1, keepdims=True)
        return cls(
            images=len(truth),
            accuracy=float(np.mean(predicted == truth)),
            loss=float(log_loss(truth, normalized, labels=classes)),
            per_class=_rows(names, precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)),
            confusion=confusion_matrix(truth, predicted, labels=classes),
        )

    @property
    def summary(self) -> Row:
        """Accuracy and loss."""
        return {"accuracy": self.accuracy, "loss": self.loss}

    @property
    def details(self) -> dict[str, Row]:
        """By class."""
        return self.per_class


def _rows(names: list[str], columns: tuple[np.ndarray, ...]) -> dict[str, Row]:
    """Scikit-learn's precision, recall, f1 and support, each an array over the classes, by class."""
    keys = ("precision", "recall", "f1-score", "support")
    return {name: dict(zip(keys, map(float, row), strict=True)) for name, *row in zip(names, *columns, strict=True)}


@dataclass(frozen=True)
class MultiLabelEvaluation(Figures):
    """Figures of a multi-label model on one split; `loss` is the mean binary cross-entropy of a label, in nats."""

    accuracy: float
    """Share of right decisions over all images and labels at a probability of 0.5, 0..1."""
    exact: float
    """Share of the images with all labels right, 0..1."""
    average_precision: float | None
    """Mean over the labels that some image has, 0..1: how well they are ranked, whatever the threshold."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score, support (number of images) and average precision by label."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of 0 or 1 and probabilities, both `(count, labels)`."""
        from sklearn.metrics import average_precision_score, precision_recall_fscore_support

        predicted = answers > 0.5
        of_labels = [
            precision_recall_fscore_support(truth[:, label], predicted[:, label], labels=[1], zero_division=0)
            for label in range(len(names))
        ]
        ranked = [
            float(average_precision_score(truth[:, label], answers[:, label])) if truth[:, label].any() else None
            for label in range(len(names))
        ]
        known = [score for score in ranked if score is not None]
        probable = answers.clip(LEAST, 1 - LEAST)
        return cls(
            images=len(truth),
            accuracy=float(np.mean(predicted == truth)),
            exact=float(np.mean((predicted == truth).all(axis=-1))),
            average_precision=float(np.mean(known)) if known else None,
            loss=float(-np.mean(np.where(truth == 1, np.log(probable), np.log(1 - probable)))),
            per_class={
                name: _rows([name], columns)[name] | {"average precision": score}
                for name, columns, score in zip(names, of_labels, ranked, strict=True)
            },
        )

    @property
    def summary(self) -> Row:
        """Mean average precision, accuracies and loss."""
        return {
            "mean average precision": self.average_precision,
            "accuracy": self.accuracy,
            "all labels right": self.exact,
            "loss": self.loss,
        }

    @property
    def details(self) -> dict[str, Row]:
        """By label."""
        return self.per_class


@dataclass(frozen=True)
class RegressionEvaluation(Figures):
    """Figures of a regression on one split; `loss` is the mean squared error of a number."""

    mae: float
    """Mean absolute error over all images and numbers."""
    per_output: dict[str, Row]
    """By number, in its own unit: `mae`, `rmse` (root mean square error), and `r2`, the share of the variance that is
    explained, 1 at best; None where the true values do not vary."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of numbers `(count, outputs)`, both."""
        error = answers - truth
        squared, variance = (error**2).mean(axis=0), truth.astype("float64").var(axis=0)
        absolute = np.abs(error).mean(axis=0)
        return cls(
            images=len(truth),
            mae=float(absolute.mean()),
            loss=float(squared.mean()),
            per_output={
                name: {"mae": float(mae), "rmse": float(np.sqrt(mse)), "r2": float(1 - mse / var) if var else None}
                for name, mae, mse, var in zip(names, absolute, squared, variance, strict=True)
            },
        )

    @property
    def summary(self) -> Row:
        """Mean absolute error and loss."""
        return {"mean absolute error": self.mae, "loss": self.loss}

    @property
    def details(self) -> dict[str, Row]:
        """By number."""
        return self.per_output


@dataclass(frozen=True)
class SegmentationEvaluation(Figures):
    """Figures of a segmentation on one split; `loss` is the mean cross-entropy of a place, in nats."""

    accuracy: float
    """Share of the places whose most probable class is the right one, 0..1."""
    mean_iou: float
    """Mean over the classes that are anywhere, in masks or answers, of intersection over union, 0..1."""
    per_class: dict[str, Row]
    """By class: `iou`, precision, recall and pixels (number of places in the masks); None where it is nowhere."""
    confusion: np.ndarray
    """Number of places by true class (row) and predicted class (column)."""

    @classmethod
    def of_confusion(cls, confusion: np.ndarray, loss: float, images: int, names: list[str]) -> Self:
        """Of the places of `images` images, counted by true and predicted class."""
        right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)

        def share(counts: np.ndarray, of: np.ndarray) -> list[float | None]:
            return [float(count / whole) if whole else None for count, whole in zip(counts, of, strict=True)]

        iou = share(right, true + predicted - right)
        columns = zip(names, iou, share(right, predicted), share(right, true), true.tolist(), strict=True)
        return cls(
            images=images,
            accuracy=float(right.sum() / confusion.sum()),
            mean_iou=float(np.mean([score for score in iou if score is not None])),
            loss=loss,
            per_class={
                name: {"iou": score, "precision": precision, "recall": recall, "pixels": pixels}
                for name, score, precision, recall, pixels in columns
            },
            confusion=confusion,
        )

    @property
    def summary(self) -> Row:
        """Mean intersection over union, accuracy and loss."""
        return {"mean IoU": self.mean_iou, "accuracy": self.accuracy, "loss": self.loss}

    @property
    def details(self) -> dict[str, Row]:
        """By class."""
        return self.per_class
