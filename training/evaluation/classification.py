"""What is measured of a classifier."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .bootstrap import share_interval
from .calibration import calibration_error, reliability
from .figures import Figures, Row, mean_of_known, rows_by_name
from .ranking import areas_under_roc


@dataclass(frozen=True)
class Evaluation(Figures):
    """Figures of a classifier on one split; `loss` is the mean cross-entropy, in nats."""

    SUMMARY: ClassVar = {
        "accuracy": "accuracy",
        "top-5 accuracy": "top_5_accuracy",
        "macro F1": "macro_f1",
        "ROC AUC": "roc_auc",
        "calibration error": "calibration_error",
        "loss": "loss",
    }

    accuracy: float
    """Share of the images whose most probable class is the right one, 0..1. Precision, recall and F1 that count every
    image alike (micro) are the same number."""
    top_5_accuracy: float | None
    """Share of the images with the right class among the five most probable, 0..1; None of five classes or fewer."""
    macro_precision: float
    """Mean precision of the classes that are anywhere, in truth or answers, 0..1; so are the next two."""
    macro_recall: float
    macro_f1: float
    roc_auc: float | None
    """Area under the ROC curve of a class against the rest, 0..1: the mean over the classes that some images have and
    some have not."""
    calibration_error: float
    """Expected calibration error in 15 bins (arXiv:1706.04599), 0..1: how far confidence is from accuracy."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score and support (number of images) by label."""
    confusion: np.ndarray
    """Number of images by true class (row) and predicted class (column)."""
    reliability: np.ndarray
    """Number of images, mean confidence and accuracy by bin of confidence, `(15, 3)`."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of class indices `(count,)` and probabilities `(count, classes)`."""
        from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

        classes = np.arange(len(names))
        predicted = answers.argmax(axis=-1)
        right = predicted == truth
        normalized = answers / answers.sum(axis=-1, keepdims=True)
        bins = reliability(normalized.max(axis=-1), right)
        macro = precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
        of_class = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
        return cls(
            images=len(truth),
            loss=float(log_loss(truth, normalized, labels=classes)),
            intervals=share_interval("accuracy", right),
            accuracy=float(np.mean(right)),
            top_5_accuracy=_top_accuracy(truth, answers, 5) if len(names) > 5 else None,
            macro_precision=float(macro[0]),
            macro_recall=float(macro[1]),
            macro_f1=float(macro[2]),
            roc_auc=mean_of_known(areas_under_roc(truth[:, np.newaxis] == classes, normalized)),
            calibration_error=calibration_error(bins),
            per_class=rows_by_name(names, of_class),
            confusion=confusion_matrix(truth, predicted, labels=classes),
            reliability=bins,
        )

    @property
    def details(self) -> dict[str, Row]:
        """By class."""
        return self.per_class


def _top_accuracy(truth: np.ndarray, answers: np.ndarray, k: int) -> float:
    top = np.argpartition(answers, -k, axis=-1)[:, -k:]
    return float(np.mean((top == truth[:, np.newaxis]).any(axis=-1)))
