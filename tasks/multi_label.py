"""Multi-label classification: any number of labels for each image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import VectorAccumulator
from .bootstrap import intervals
from .class_targets import class_indices
from .classification import is_whole, log_probabilities, top_probabilities
from .evaluation import EPSILON, Row, VectorEvaluation, mean_of_known, rows_by_name
from .ranking import area_under_roc, average_precision, weighted_mean_average_precision
from .table_values import parse_labels
from .target_form import Labels, Table
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras

    from ..layers import MultiLabelHead

THRESHOLD = 0.5
"""A label is predicted at a probability above it."""
MOST_CAPTIONED = 3
"""Largest number of labels in a caption: those with the largest errors."""


class MultiLabel(Task):
    """Independent probabilities `(batch, labels)`; targets are 0 or 1, float32 `(count, labels)`."""

    name = "multi_label"
    of_signals = True
    activation = "sigmoid"
    keras_losses = ("binary_crossentropy", "binary_focal_crossentropy")
    target_kinds = "iufb"
    target_form = "0 and 1, (count, labels)"
    column = "labels"
    feature_key = "class/labels"
    class_unit = "images"
    mixable = True
    losses = ("binary_cross_entropy", "focal", "hinge", "mse", "dice", "tversky")
    has_auxiliary_heads = True
    metric = "label accuracy"
    output_name = "probabilities"
    loss_name = "label accuracy drop"
    vision_task = "classify"
    figure_name = "probability"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "MultiLabelHead":
        """Return a head with a sigmoid."""
        from ..layers import MultiLabelHead

        return MultiLabelHead(
            config.num_outputs, labels=config.labels, dropout=config.dropout, score_map=config.score_map, name=name
        )

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return targets[:, np.newaxis] if targets.ndim == 1 else targets  # of a single label

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        if not np.isin(targets, (0, 1)).all():
            raise InputError(f"{what} have other values than 0 and 1; a multi_label takes {self.target_form}.")

    def has_form(self, targets: Any) -> bool:
        """Return whether all values are 0 or 1."""
        return super().has_form(targets) and bool(np.isin(targets, (0, 1)).all())

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels, np.ndarray]:
        """Return the labels in alphabetical order."""
        values = table.read(columns["labels"], parse_labels)
        labels = sorted(set().union(*values))
        if not labels:
            raise InputError(f"{table.path}: column {columns['labels']!r} is empty in every row.")
        return tuple(labels), np.array([[label in value for label in labels] for value in values], "float32")

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return the indices of the labels that are present."""
        return np.flatnonzero(target).astype("int64")

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return 0 or 1 for each label."""
        if len(values) and (values.dtype.kind != "i" or values.min() < 0 or values.max() >= num_outputs):
            raise ValueError(f"is {values.tolist()}; classes go from 0 to {num_outputs - 1}.")
        return np.isin(np.arange(num_outputs), values).astype("float32")

    def class_counts(self, targets: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the images with each label."""
        return targets.sum(axis=0).astype("int64")

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the accuracy over all labels."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_correct, name="binary_accuracy")]

    def distillation_logits(self, outputs: Any) -> Any:
        """Return two logits for each label, `(..., labels, 2)`: present or not."""
        from keras import ops

        return log_probabilities(ops.stack([outputs, 1 - outputs], axis=-1))

    def accumulator(self, labels: Sequence[str]) -> "LabelAccumulator":
        """Return the accumulator of a `MultiLabelEvaluation`."""
        return LabelAccumulator(labels)

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the three labels that are farthest off."""
        farthest = np.argsort(-np.abs(output - target), kind="stable")[:MOST_CAPTIONED]
        lines = [f"{labels[i]}: {output[i]:.1%}, is {'present' if target[i] else 'absent'}" for i in farthest]
        return "\n".join(lines), bool(((output > THRESHOLD) != (target == 1)).any())

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether they are rows of 0 and 1 that are not one-hot."""
        return labels.ndim == 2 and is_whole(labels) and class_indices(labels).ndim == 2

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether it is a vector from a sigmoid."""
        return len(output_shape) == 2 and activation == "sigmoid"

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return whether both predict each label, or neither does."""
        return (outputs > THRESHOLD) == (reference > THRESHOLD)

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the most probable labels first."""
        return top_probabilities(output, labels, top)


@dataclass(frozen=True)
class MultiLabelEvaluation(VectorEvaluation):
    """Metrics of a multi-label model on one split; `loss` is the mean binary cross-entropy of a label, in nats.

    A label is predicted at a probability above 0.5.
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
    """Share of correct decisions over all images and labels, 0..1."""
    exact: float
    """Share of the images whose labels are all correct, 0..1."""
    average_precision: float | None
    """Mean over the labels that some image has, 0..1: how well they are ranked, at no particular threshold."""
    roc_auc: float | None
    """Area under the ROC curve, 0..1: the mean over the labels that some images have and others do not."""
    macro_f1: float
    """Mean F1 of the labels, 0..1."""
    micro_f1: float
    """F1 over all decisions, 0..1."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score, support (number of images), average precision and roc auc by label."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of 0 or 1 and probabilities, both `(count, labels)`."""
        from sklearn.metrics import precision_recall_fscore_support

        outputs = outputs.astype("float64")
        positive, predicted = targets == 1, outputs > THRESHOLD
        counts = positive.sum(axis=0), predicted.sum(axis=0), (positive & predicted).sum(axis=0)
        columns = zip(positive.T, predicted.T, strict=True)
        by_label = [precision_recall_fscore_support(*column, labels=[True], zero_division=0) for column in columns]
        scores = list(zip(positive.T, outputs.T, strict=True))
        precisions, areas = [average_precision(*pair) for pair in scores], [area_under_roc(*pair) for pair in scores]
        clipped = outputs.clip(EPSILON, 1 - EPSILON)
        mean_average_precision = weighted_mean_average_precision(positive, outputs)
        return cls(
            images=len(targets),
            loss=float(-np.mean(np.where(positive, np.log(clipped), np.log(1 - clipped)))),
            intervals=intervals("average_precision", mean_average_precision, len(targets)) if positive.any() else {},
            accuracy=float(np.mean(predicted == positive)),
            exact=float(np.mean((predicted == positive).all(axis=-1))),
            average_precision=mean_of_known(precisions),
            roc_auc=mean_of_known(areas),
            macro_f1=float(np.mean(_f1(*counts))),
            micro_f1=float(_f1(*(count.sum() for count in counts))),
            per_class={
                label: rows_by_name([label], columns)[label] | {"average precision": precision, "roc auc": area}
                for label, columns, precision, area in zip(labels, by_label, precisions, areas, strict=True)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by label."""
        return self.per_class


class LabelAccumulator(VectorAccumulator):
    """Accumulates a `MultiLabelEvaluation`; average precision ranks all images, so probabilities are kept."""

    evaluation_class = MultiLabelEvaluation

    def errors(self) -> np.ndarray:
        """Return the mean cross-entropy of the labels."""
        outputs = self.outputs.astype("float64")
        return -np.log(np.where(self.targets == 1, outputs, 1 - outputs).clip(EPSILON)).mean(axis=1)

    @property
    def score(self) -> float:
        """Return the accuracy over all labels."""
        return float(np.mean(self._correct()))

    @property
    def scores(self) -> np.ndarray:
        """Share of each image's labels that are correct."""
        return self._correct().mean(axis=1)

    def _correct(self) -> np.ndarray:
        return (self.outputs > THRESHOLD) == (self.targets == 1)


def _f1(true: np.ndarray, predicted: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return F1 from numbers of images; 0 for a label that is neither present nor predicted."""
    return 2 * both / np.maximum(true + predicted, 1)


def _correct(targets: Any, outputs: Any) -> Any:
    """Return the share of the correct labels; for mixed targets, the larger share counts."""
    from keras import ops

    return ops.mean(ops.cast(ops.equal(targets > THRESHOLD, outputs > THRESHOLD), "float32"), axis=-1)
