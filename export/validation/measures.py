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
    losses: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """Of the same: how much worse they are for each image, of which that loss is the mean (of the IoU nearly so)."""

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
    return _iou_of(_class_counts(answers, labels))


def _class_counts(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many places of each right class (rows) are answered to be of each class."""
    classes, predicted = answers.shape[-1], answers.argmax(axis=-1)
    pairs = (labels.astype("int64") * classes + predicted).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _iou_of(counts: np.ndarray) -> float:
    both = counts.diagonal()
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float(np.mean(both[either > 0] / either[either > 0]))


def mean_absolute_error(answers: np.ndarray, labels: np.ndarray) -> float:
    """Over all images and numbers."""
    return float(np.abs(answers - labels).mean())


def _drop(measure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
    return lambda answers, reference, labels: measure(reference, labels) - measure(answers, labels)


def _lost_images(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (reference.argmax(axis=-1) == labels).astype(int) - (answers.argmax(axis=-1) == labels)


def _lost_labels(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    before, after = ((given > 0.5) == (labels == 1) for given in (reference, answers))
    return before.mean(axis=1) - after.mean(axis=1)


def _lost_iou(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tukey's pseudo-values (Bias and confidence in not-quite large samples, 1958): the whole, and so many times what
    it changes by without the image."""

    def pseudo_values(given: np.ndarray) -> np.ndarray:
        counts = np.stack([_class_counts(*image) for image in zip(given, labels, strict=True)])
        whole = counts.sum(axis=0)
        without = np.array([_iou_of(whole - image) for image in counts])
        return len(counts) * _iou_of(whole) - (len(counts) - 1) * without

    return pseudo_values(reference) - pseudo_values(answers)


def _mae_rise(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> float | None:
    """How much the error rises, in units of the mean absolute deviation of the true numbers from their median.

    That is the error of always answering the median, so a rise of 0.01 is one point of what there is to know, whatever
    the unit of a number, and a model that is nearly right is not held to a share of nearly nothing. None where no true
    number varies.
    """
    rises = _mae_rises(answers, reference, labels)
    return float(rises.mean()) if rises.size else None


def _mae_rises(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each image; none where no true number varies."""
    deviation = np.abs(labels - np.median(labels, axis=0)).mean(axis=0)
    if not deviation.any():
        return np.empty(0)
    rise = np.abs(answers - labels) - np.abs(reference - labels)
    return (rise[:, deviation > 0] / deviation[deviation > 0]).mean(axis=1)


MEASURES = {
    "classification": Measure("accuracy", "accuracy drop", accuracy, _drop(accuracy), _lost_images),
    "multi_label": Measure(
        "label accuracy", "label accuracy drop", label_accuracy, _drop(label_accuracy), _lost_labels
    ),
    "segmentation": Measure("mean IoU", "mean IoU drop", mean_iou, _drop(mean_iou), _lost_iou),
    "regression": Measure("mean absolute error", "MAE rise", mean_absolute_error, _mae_rise, _mae_rises),
}
"""By task; an embedding has no right answer."""
