"""How good answers are, by task, and how much of that an artifact may lose against its model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """What is asked of the answers to labelled images."""

    name: str
    """Such as `accuracy`."""
    loss_name: str
    """Of the gate."""
    of: Callable[[np.ndarray, np.ndarray], float]
    """Of answers and labels."""
    loss: Callable[[np.ndarray, np.ndarray, np.ndarray], float | None]
    """Of the artifact's answers, the model's and the labels: how much worse the first are, 0.01 for one point."""

    @property
    def bar(self) -> str:
        """The field of `Format` with the most that may be lost."""
        return self.loss_name.lower().replace(" ", "_")


def accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images, or places, whose most probable class is the right one."""
    return float(np.mean(answers.argmax(axis=-1) == labels))


def label_accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Share of right decisions over all images and labels, each there where its probability is above 0.5."""
    return float(np.mean((answers > 0.5) == (labels == 1)))


def mean_iou(answers: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that are in any mask or answer of intersection over union."""
    classes, predicted = answers.shape[-1], answers.argmax(axis=-1)
    pairs = (labels.astype("int64") * classes + predicted).ravel()
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both = counts.diagonal()
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float(np.mean(both[either > 0] / either[either > 0]))


def mean_absolute_error(answers: np.ndarray, labels: np.ndarray) -> float:
    """Over all images and numbers."""
    return float(np.abs(answers - labels).mean())


def _drop(measure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
    return lambda answers, reference, labels: measure(reference, labels) - measure(answers, labels)


def _mae_rise(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> float | None:
    """How much the error rises, in units of the mean absolute deviation of the true numbers from their median.

    That is the error of always answering the median, so a rise of 0.01 is one point of what there is to know, whatever
    the unit of a number, and a model that is nearly right is not held to a share of nearly nothing. None where no true
    number varies.
    """
    deviation = np.abs(labels - np.median(labels, axis=0)).mean(axis=0)
    rise = np.abs(answers - labels).mean(axis=0) - np.abs(reference - labels).mean(axis=0)
    return float(np.mean(rise[deviation > 0] / deviation[deviation > 0])) if deviation.any() else None


MEASURES = {
    "classification": Measure("accuracy", "accuracy drop", accuracy, _drop(accuracy)),
    "multi_label": Measure("label accuracy", "label accuracy drop", label_accuracy, _drop(label_accuracy)),
    "segmentation": Measure("mean IoU", "mean IoU drop", mean_iou, _drop(mean_iou)),
    "regression": Measure("mean absolute error", "MAE rise", mean_absolute_error, _mae_rise),
}
"""By task; an embedding has no right answer."""
