"""How good a model is on images it never saw."""

from collections.abc import Sequence

import keras
import numpy as np

from ...layers import Head
from ..compatibility import check_fit_together, check_split
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches
from ..outputs import map_outputs
from ..tasks import heads_of, tasks_of
from .figures import LEAST, Evaluation, Figures, MultiLabelEvaluation, RegressionEvaluation, SegmentationEvaluation


def evaluate(model: keras.Model, data: ImageData | ImageSplit, *, batch_size: int = 32) -> Figures | dict[str, Figures]:
    """Runs `model` on `data.test` (or on the split that is given) in inference mode.

    Args:
        model: A model whose heads answer what the data has.
        data: What to evaluate on.
        batch_size: Images at a time; it changes no figure, but for rounding.

    Returns:
        An `Evaluation` of a classification, a `MultiLabelEvaluation`, a `RegressionEvaluation` or a
        `SegmentationEvaluation`; a dict of them by name for several outputs.

    Raises:
        InputError: The model does not take images of this shape, or answers something else.
    """
    split = data.test if isinstance(data, ImageData) else data
    if isinstance(data, ImageData):
        check_fit_together(model, data)
    check_split(model, split)
    tasks = tasks_of(model)
    labels = data.labels if isinstance(data, ImageData) else map_outputs(_names, model.output, heads_of(model))
    tallies = map_outputs(_tally, tasks, labels)
    for images, targets in evaluation_batches(split, batch_size):
        answers = model.predict_on_batch(images)
        map_outputs(lambda tally, truth, given: tally.add(truth.numpy(), given), tallies, targets, answers)
    return map_outputs(lambda tally: tally.figures(), tallies)


def _names(output: keras.KerasTensor, head: Head | None) -> list[str]:
    """The head's labels, or the indices of the outputs."""
    return (head and head.labels) or [str(index) for index in range(output.shape[-1])]


def _tally(task: str, names: Sequence[str]) -> "Rows | Places":
    return Places(list(names)) if task == "segmentation" else Rows(FIGURES[task], list(names))


FIGURES = {"classification": Evaluation, "multi_label": MultiLabelEvaluation, "regression": RegressionEvaluation}


class Rows:
    """Keeps all answers: they are small where an image has one row of them."""

    def __init__(self, figures: type[Figures], names: list[str]):
        self._figures = figures
        self._names = names
        self._truth: list[np.ndarray] = []
        self._answers: list[np.ndarray] = []

    def add(self, truth: np.ndarray, answers: np.ndarray) -> None:
        """Takes in a batch."""
        self._truth.append(truth)
        self._answers.append(answers.astype("float64"))

    def figures(self) -> Figures:
        """Of all batches."""
        return self._figures.of(np.concatenate(self._truth), np.concatenate(self._answers), self._names)


class Places:
    """Counts as it goes: the answers of a segmentation to a whole split would not fit into memory."""

    def __init__(self, names: list[str]):
        self._names = names
        self._confusion = np.zeros((len(names), len(names)), "int64")
        self._images, self._loss = 0, 0.0

    def add(self, truth: np.ndarray, answers: np.ndarray) -> None:
        """Takes in a batch: class indices `(count, height, width)`, probabilities `(..., classes)`."""
        classes = len(self._names)
        pairs = truth * classes + answers.argmax(axis=-1)
        self._confusion += np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)
        right = np.take_along_axis(answers, truth[..., np.newaxis], axis=-1)
        self._loss -= np.log(right.clip(LEAST).astype("float64")).sum()
        self._images += len(truth)

    def figures(self) -> Figures:
        """Of all batches."""
        loss = self._loss / self._confusion.sum()
        return SegmentationEvaluation.of_confusion(self._confusion, float(loss), self._images, self._names)
