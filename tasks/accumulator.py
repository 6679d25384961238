"""Base classes of the accumulators that compute a task's metrics batch by batch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import numpy as np

from .evaluation import BaseEvaluation, VectorEvaluation


class Accumulator(ABC):
    """Metrics of one output over a split, batch by batch.

    Args:
        labels: Names of the classes, labels or values.
    """

    def __init__(self, labels: Sequence[str]):
        self.labels = list(labels)

    @abstractmethod
    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch of validated targets and the model's outputs for it."""

    @abstractmethod
    def evaluation(self) -> BaseEvaluation:
        """Return all metrics of the batches so far."""

    @abstractmethod
    def errors(self) -> np.ndarray:
        """Return how wrong each output is, `(images,)`, in order of the images; only the ranking matters."""

    def shown(self, count: int) -> np.ndarray:
        """Return the rows of about `count` images for a sheet of examples, the worst first."""
        return np.argsort(-self.errors(), kind="stable")[:count]

    @property
    @abstractmethod
    def score(self) -> float:
        """The task's `metric` over all images."""

    @property
    @abstractmethod
    def scores(self) -> np.ndarray:
        """Contribution of each image to `score`, `(images,)`, of which `score` is the mean (approximately for IoU)."""

    def loss_against(self, reference: Self) -> float | None:
        """Return how much worse these outputs score than those of `reference` for the same images, 0.01 for one point.

        That is what an export may lose. None if it cannot be measured on these targets.
        """
        return reference.score - self.score

    def losses_against(self, reference: Self) -> np.ndarray:
        """Return how much worse they are for each image, `(images,)`; the mean is (nearly) `loss_against`."""
        return reference.scores - self.scores


class VectorAccumulator(Accumulator):
    """Keeps one vector for each image, in the dtype of the outputs: metrics that rank images need all of them."""

    evaluation_class: ClassVar[type[VectorEvaluation]]
    """Class of the evaluation."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._targets: list[np.ndarray] = []
        self._outputs: list[np.ndarray] = []

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch."""
        self._targets.append(np.asarray(targets))
        self._outputs.append(np.asarray(outputs))

    def evaluation(self) -> VectorEvaluation:
        """Return the evaluation of all batches."""
        return self.evaluation_class.of(self.targets, self.outputs, self.labels)

    @property
    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Targets and outputs of each batch."""
        return zip(self._targets, self._outputs, strict=True)

    @property
    def targets(self) -> np.ndarray:
        """Targets of all batches."""
        return np.concatenate(self._targets)

    @property
    def outputs(self) -> np.ndarray:
        """Outputs of all batches."""
        return np.concatenate(self._outputs)
