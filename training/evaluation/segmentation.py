"""What is measured of a segmentation."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .bootstrap import intervals
from .figures import Figures, Row, mean_of_known


@dataclass(frozen=True)
class SegmentationEvaluation(Figures):
    """Figures of a segmentation on one split; `loss` is the mean cross-entropy of a place, in nats."""

    SUMMARY: ClassVar = {"mean IoU": "mean_iou", "mean Dice": "mean_dice", "accuracy": "accuracy", "loss": "loss"}

    accuracy: float
    """Share of the places whose most probable class is the right one, 0..1."""
    mean_iou: float
    """Mean over the classes that are anywhere, in masks or answers, of intersection over union, 0..1."""
    mean_dice: float
    """The same of Dice's coefficient, 2 x intersection / (places in the masks + places answered), 0..1."""
    per_class: dict[str, Row]
    """By class: `iou`, `dice`, precision, recall, and pixels (number of places in the masks); None where it is nowhere.
    """
    confusion: np.ndarray
    """Number of places by true class (row) and predicted class (column)."""

    @classmethod
    def of_counts(
        cls, confusion: np.ndarray, intersections: np.ndarray, unions: np.ndarray, loss: float, names: list[str]
    ) -> Self:
        """Of numbers of places.

        Args:
            confusion: By true and predicted class, over all images.
            intersections: In mask and answer, by image and class.
            unions: In mask or answer, by image and class.
            loss: Mean cross-entropy of a place.
            names: Of the classes.
        """
        right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        iou, dice = _shares(right, true + predicted - right), _shares(2 * right, true + predicted)
        columns = zip(names, iou, dice, _shares(right, predicted), _shares(right, true), true.tolist(), strict=True)
        images = len(intersections)
        return cls(
            images=images,
            loss=loss,
            intervals=intervals("mean_iou", lambda drawn: mean_iou(drawn.T @ intersections, drawn.T @ unions), images),
            accuracy=float(right.sum() / confusion.sum()),
            mean_iou=mean_of_known(iou),
            mean_dice=mean_of_known(dice),
            per_class={
                name: {"iou": of_iou, "dice": of_dice, "precision": precision, "recall": recall, "pixels": pixels}
                for name, of_iou, of_dice, precision, recall, pixels in columns
            },
            confusion=confusion,
        )

    @property
    def details(self) -> dict[str, Row]:
        """By class."""
        return self.per_class


def mean_iou(intersections: np.ndarray, unions: np.ndarray) -> np.ndarray:
    """Mean over the classes, the last axis, that are in mask or answer at all."""
    there = unions > 0
    return np.where(there, intersections / np.maximum(unions, 1), 0).sum(axis=-1) / there.sum(axis=-1)


def _shares(counts: np.ndarray, of: np.ndarray) -> list[float | None]:
    return [float(count / whole) if whole else None for count, whole in zip(counts, of, strict=True)]
