"""What is measured of a model that answers several labels."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from .bootstrap import intervals
from .figures import LEAST, Figures, Row, mean_of_known, rows_by_name
from .ranking import areas_under_roc, average_precisions, weighted_mean_average_precision


@dataclass(frozen=True)
class MultiLabelEvaluation(Figures):
    """Figures of a multi-label model on one split; `loss` is the mean binary cross-entropy of a label, in nats.

    A label counts as answered at a probability above 0.5.
    """

    SUMMARY: ClassVar = {
        "mean average precision": "average_precision",
        "accuracy": "accuracy",
        "all labels right": "exact",
        "macro F1": "macro_f1",
        "micro F1": "micro_f1",
        "ROC AUC": "roc_auc",
        "loss": "loss",
    }

    accuracy: float
    """Share of right decisions over all images and labels, 0..1."""
    exact: float
    """Share of the images with all labels right, 0..1."""
    average_precision: float | None
    """Mean over the labels that some image has, 0..1: how well they are ranked, whatever the threshold."""
    roc_auc: float | None
    """Area under the ROC curve, 0..1: the mean over the labels that some images have and some have not."""
    macro_f1: float
    """Mean F1 of the labels, 0..1."""
    micro_f1: float
    """F1 over all decisions, 0..1."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score, support (number of images), average precision and roc auc by label."""

    @classmethod
    def of(cls, truth: np.ndarray, answers: np.ndarray, names: list[str]) -> Self:
        """Of 0 or 1 and probabilities, both `(count, labels)`."""
        from sklearn.metrics import precision_recall_fscore_support

        there, predicted = truth == 1, answers > 0.5
        counts = there.sum(axis=0), predicted.sum(axis=0), (there & predicted).sum(axis=0)
        columns = zip(there.T, predicted.T, strict=True)
        of_labels = [precision_recall_fscore_support(*column, labels=[True], zero_division=0) for column in columns]
        ranked, areas = average_precisions(there, answers), areas_under_roc(there, answers)
        probable = answers.clip(LEAST, 1 - LEAST)
        mean_average_precision = weighted_mean_average_precision(there, answers)
        return cls(
            images=len(truth),
            loss=float(-np.mean(np.where(there, np.log(probable), np.log(1 - probable)))),
            intervals=intervals("average_precision", mean_average_precision, len(truth)) if there.any() else {},
            accuracy=float(np.mean(predicted == there)),
            exact=float(np.mean((predicted == there).all(axis=-1))),
            average_precision=mean_of_known(ranked),
            roc_auc=mean_of_known(areas),
            macro_f1=float(np.mean(_f1(*counts))),
            micro_f1=float(_f1(*(count.sum() for count in counts))),
            per_class={
                name: rows_by_name([name], columns)[name] | {"average precision": score, "roc auc": area}
                for name, columns, score, area in zip(names, of_labels, ranked, areas, strict=True)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """By label."""
        return self.per_class


def _f1(true: np.ndarray, predicted: np.ndarray, both: np.ndarray) -> np.ndarray:
    """From numbers of images; 0 where a label is neither there nor answered."""
    return 2 * both / np.maximum(true + predicted, 1)
