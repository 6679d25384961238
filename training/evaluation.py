"""How good a model is on images it never saw."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .compatibility import check_fit_together, check_image_shape
from .data import ImageData, ImageSplit
from .pipeline import evaluation_batches


@dataclass(frozen=True)
class Evaluation:
    """Figures of a classifier on one split."""

    images: int
    accuracy: float
    """Share of the images whose most probable class is the right one, 0..1."""
    loss: float
    """Mean cross-entropy, in nats."""
    per_class: dict[str, dict[str, float]]
    """Precision, recall, f1-score and support (number of images) by label."""
    confusion: np.ndarray
    """Number of images by true class (row) and predicted class (column)."""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return vars(self) | {"confusion": self.confusion.tolist()}


def evaluate(model: keras.Model, data: ImageData | ImageSplit, *, batch_size: int = 128) -> Evaluation:
    """Runs `model` on `data.test` (or on the split that is given) in inference mode.

    Raises:
        InputError: The model does not take images of this shape, or answers other classes.
    """
    from sklearn.metrics import classification_report, confusion_matrix, log_loss

    split = data.test if isinstance(data, ImageData) else data
    if isinstance(data, ImageData):
        check_fit_together(model, data)
    check_image_shape(model, split)
    probabilities = model.predict(evaluation_batches(split, batch_size), verbose=0).astype("float64")
    classes = np.arange(probabilities.shape[-1])
    predicted = probabilities.argmax(axis=-1)
    names = [str(name) for name in (data.labels if isinstance(data, ImageData) else classes)]
    report = classification_report(
        split.labels, predicted, labels=classes, target_names=names, output_dict=True, zero_division=0
    )
    normalized = probabilities / probabilities.sum(axis=-1, keepdims=True)
    return Evaluation(
        images=len(split),
        accuracy=float(np.mean(predicted == split.labels)),
        loss=float(log_loss(split.labels, normalized, labels=classes)),
        per_class={name: report[name] for name in names},
        confusion=confusion_matrix(split.labels, predicted, labels=classes),
    )
