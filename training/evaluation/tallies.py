"""What is kept of a model's answers, batch by batch, until the figures are made of it."""

from typing import Protocol

import numpy as np

from .classification import Evaluation
from .figures import LEAST, Figures
from .multi_label import MultiLabelEvaluation
from .regression import RegressionEvaluation
from .segmentation import SegmentationEvaluation, mean_iou

FIGURES = {"classification": Evaluation, "multi_label": MultiLabelEvaluation, "regression": RegressionEvaluation}


class Tally(Protocol):
    """Of one output."""

    task: str
    names: list[str]

    def add(self, truth: np.ndarray, answers: np.ndarray) -> None:
        """Takes in a batch."""

    def figures(self) -> Figures:
        """Of all batches."""

    def wrongness(self) -> np.ndarray:
        """How wrong each answer is, `(images,)`, in order of the images; only the order of these numbers counts."""


class Rows:
    """Keeps all answers: they are small where an image has one row of them."""

    def __init__(self, task: str, names: list[str]):
        self.task, self.names = task, names
        self._truth: list[np.ndarray] = []
        self._answers: list[np.ndarray] = []

    def add(self, truth: np.ndarray, answers: np.ndarray) -> None:
        """Takes in a batch."""
        self._truth.append(truth)
        self._answers.append(answers.astype("float64"))

    def figures(self) -> Figures:
        """Of all batches."""
        return FIGURES[self.task].of(np.concatenate(self._truth), np.concatenate(self._answers), self.names)

    def wrongness(self) -> np.ndarray:
        """Of a class, by how much another is more probable than the right one: 1 at worst, below 0 of right answers.

        Of labels, the cross-entropy; of numbers, the mean error in units of each one's deviation.
        """
        truth, answers = np.concatenate(self._truth), np.concatenate(self._answers)
        if self.task == "classification":
            right = np.eye(len(self.names), dtype=bool)[truth]
            return np.where(right, -np.inf, answers).max(axis=1) - answers[right]
        if self.task == "multi_label":
            return -np.log(np.where(truth == 1, answers, 1 - answers).clip(LEAST)).mean(axis=1)
        deviation = truth.std(axis=0)
        return (np.abs(answers - truth) / np.where(deviation, deviation, 1)).mean(axis=1)


class Places:
    """Counts as it goes: the answers of a segmentation to a whole split would not fit into memory."""

    task = "segmentation"

    def __init__(self, names: list[str]):
        self.names = names
        self._confusion = np.zeros((len(names), len(names)), "int64")
        self._intersections: list[np.ndarray] = []
        self._unions: list[np.ndarray] = []
        self._loss = 0.0

    def add(self, truth: np.ndarray, answers: np.ndarray) -> None:
        """Takes in a batch: class indices `(count, height, width)`, probabilities `(..., classes)`."""
        classes = len(self.names)
        pairs = (truth * classes + answers.argmax(axis=-1)).reshape(len(truth), -1)
        pairs += classes**2 * np.arange(len(truth))[:, np.newaxis]
        counts = np.bincount(pairs.ravel(), minlength=len(truth) * classes**2).reshape(-1, classes, classes)
        self._confusion += counts.sum(axis=0)
        both = np.diagonal(counts, axis1=1, axis2=2)
        self._intersections.append(both)
        self._unions.append(counts.sum(axis=1) + counts.sum(axis=2) - both)
        right = np.take_along_axis(answers, truth[..., np.newaxis], axis=-1)
        self._loss -= np.log(right.clip(LEAST).astype("float64")).sum()

    def figures(self) -> Figures:
        """Of all batches."""
        counts = np.concatenate(self._intersections), np.concatenate(self._unions)
        loss = float(self._loss / self._confusion.sum())
        return SegmentationEvaluation.of_counts(self._confusion, *counts, loss, self.names)

    def wrongness(self) -> np.ndarray:
        """One less the mean intersection over union of the classes that the image or its answer has."""
        return 1 - mean_iou(np.concatenate(self._intersections), np.concatenate(self._unions))
