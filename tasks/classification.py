"""Classification: one class for each image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import VectorAccumulator
from .bootstrap import share_interval
from .calibration import calibration_error, reliability
from .class_targets import ClassTargets, class_indices
from .evaluation import EPSILON, Row, VectorEvaluation, confusion_table, mean_of_known, rows_by_name
from .plots import plot_confusion, plot_reliability
from .ranking import area_under_roc
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from ..layers import ClassificationHead


SINGLE_CLASS = "the probability of a single class is always 1; give 2 or more, or a multi_label for presence or absence"
ROWS = 4096
"""Images whose probabilities are converted to float64 at once."""


class Classification(ClassTargets, Task):
    """Probabilities `(batch, classes)` that sum to 1; targets are class indices, int32 `(count,)`."""

    name = "classification"
    of_signals = True
    activation = "softmax"
    keras_losses = ("sparse_categorical_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy")
    min_outputs = 2
    too_few_outputs = SINGLE_CLASS
    column = "label"
    mixable = True
    losses = ("cross_entropy", "focal", "hinge", "mse")
    has_auxiliary_heads = True
    has_linear_probe = True
    metric = "accuracy"
    output_name = "probabilities"
    loss_name = "accuracy drop"
    vision_task = "classify"
    one_decision_per_image = True
    figure_name = "probability"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "ClassificationHead":
        """Return a head with a softmax."""
        from ..layers import ClassificationHead

        return ClassificationHead(
            config.num_outputs, labels=config.labels, dropout=config.dropout, score_map=config.score_map, name=name
        )

    def soft_targets(self, targets: Any, num_outputs: int) -> Any:
        """Return one-hot targets."""
        import tensorflow as tf

        return tf.one_hot(targets, num_outputs)

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the accuracy."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_correct, name="accuracy")]

    def distillation_logits(self, outputs: Any) -> Any:
        """Return the logarithms, which differ from the logits by a constant for each image; a softmax ignores it."""
        return log_probabilities(outputs)

    def accumulator(self, labels: Sequence[str]) -> "ClassAccumulator":
        """Return the accumulator of an `Evaluation`."""
        return ClassAccumulator(labels)

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the predicted class, and the true one if it differs."""
        truth, predicted = int(target), int(output.argmax())
        caption = f"{labels[predicted]}: {output[predicted]:.1%}"
        if predicted == truth:
            return caption, False
        return f"{caption}\nis {labels[truth]}: {output[truth]:.1%}", True

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether they are whole numbers or one-hot rows."""
        return labels.ndim in (1, 2) and class_indices(labels.reshape(len(labels), -1)).ndim == 1 and is_whole(labels)

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether it is a vector of two or more from a softmax."""
        return len(output_shape) == 2 and output_shape[-1] != 1 and activation == "softmax"

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return whether the most probable classes are equal; None for a single class."""
        if reference.shape[-1] == 1:
            return None
        return (outputs.argmax(axis=-1) == reference.argmax(axis=-1))[:, np.newaxis]

    def decision_margins(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return the smallest ratio of the lead over another class and how much of it is lost."""
        if reference.shape[-1] == 1:
            return None
        top = reference.argmax(axis=-1)[:, np.newaxis]
        leads = (np.take_along_axis(one, top, axis=-1) - one for one in map(np.float64, (reference, outputs)))
        before, after = leads
        lost = before - after
        return np.divide(before, lost, out=np.full(lost.shape, np.inf), where=lost > 0).min(axis=-1)

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the most probable classes first."""
        return top_probabilities(output, labels, top)


@dataclass(frozen=True)
class Evaluation(VectorEvaluation):
    """Metrics of a classifier on one split; `loss` is the mean cross-entropy, in nats."""

    SUMMARY: ClassVar = {
        "accuracy": "accuracy",
        "top-5 accuracy": "top_5_accuracy",
        "macro F1": "macro_f1",
        "ROC AUC": "roc_auc",
        "calibration error": "calibration_error",
        "loss": "loss",
    }

    accuracy: float
    """Share of the images whose most probable class is correct, 0..1. Micro-averaged precision, recall and F1 are the
    same number."""
    top_5_accuracy: float | None
    """Share of the images with the true class among the five most probable, 0..1; None for five classes or fewer."""
    macro_precision: float
    """Mean precision of the classes that occur in targets or predictions, 0..1; so are the next two."""
    macro_recall: float
    macro_f1: float
    roc_auc: float | None
    """Area under the ROC curve of a class against the rest, 0..1: the mean over the classes that some images have and
    others do not."""
    calibration_error: float
    """Expected calibration error in 15 bins (arXiv:1706.04599), 0..1: how far confidence is from accuracy."""
    per_class: dict[str, Row]
    """Precision, recall, f1-score and support (number of images) by label."""
    confusion: np.ndarray
    """Number of images by true class (row) and predicted class (column)."""
    reliability: np.ndarray
    """Number of images, mean confidence and accuracy by bin of confidence, `(15, 3)`."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of class indices `(count,)` and probabilities `(count, classes)`."""
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        _check_probabilities(outputs)
        classes = np.arange(len(labels))
        parts = [slice(start, start + ROWS) for start in range(0, len(targets), ROWS)]
        columns = zip(*(_columns(targets[part], outputs[part]) for part in parts), strict=True)
        predicted, confidence, losses, in_top_5, sums = map(np.concatenate, columns)
        correct = predicted == targets
        bins = reliability(confidence, correct)
        macro = precision_recall_fscore_support(targets, predicted, average="macro", zero_division=0)
        by_class = precision_recall_fscore_support(targets, predicted, labels=classes, zero_division=0)
        areas = (area_under_roc(targets == index, outputs[:, index].astype("float64") / sums) for index in classes)
        return cls(
            images=len(targets),
            loss=float(np.average(losses)),
            intervals=share_interval("accuracy", correct),
            accuracy=float(np.mean(correct)),
            top_5_accuracy=float(np.mean(in_top_5)) if len(labels) > 5 else None,
            macro_precision=float(macro[0]),
            macro_recall=float(macro[1]),
            macro_f1=float(macro[2]),
            roc_auc=mean_of_known(areas),
            calibration_error=calibration_error(bins),
            per_class=rows_by_name(labels, by_class),
            confusion=confusion_matrix(targets, predicted, labels=classes),
            reliability=bins,
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by class."""
        return self.per_class

    def tables(self, labels: Sequence[str]) -> dict[str, list[list[str]]]:
        """Return the confusion matrix."""
        return {"confusion.csv": confusion_table(self.confusion, labels)}

    def plots(self, labels: Sequence[str]) -> dict[str, "Figure"]:
        """Return the confusion matrix and reliability diagram."""
        return {
            "confusion.png": plot_confusion(self.confusion, labels),
            "calibration.png": plot_reliability(self.reliability, self.calibration_error),
        }


class ClassAccumulator(VectorAccumulator):
    """Accumulates an `Evaluation`; the ROC AUC ranks all images, so probabilities are kept, in float32."""

    evaluation_class = Evaluation

    def errors(self) -> np.ndarray:
        """Return the highest probability of a wrong class minus the true one: 1 at worst, below 0 if correct."""
        outputs = self.outputs.astype("float64")
        true = np.eye(len(self.labels), dtype=bool)[self.targets]
        return np.where(true, -np.inf, outputs).max(axis=1) - outputs[true]

    @property
    def score(self) -> float:
        """Return the accuracy."""
        return float(np.mean(self.scores))

    @property
    def scores(self) -> np.ndarray:
        """1 for images whose most probable class is correct, else 0."""
        correct = (outputs.argmax(axis=-1) == targets for targets, outputs in self.batches)
        return np.concatenate(list(correct)).astype("int64")


def _check_probabilities(outputs: np.ndarray) -> None:
    if outputs.size and outputs.min() < 0:
        raise InputError(
            f"the outputs of a classification go from {outputs.min():.3g} to {outputs.max():.3g}; they must be "
            "probabilities from 0 to 1, so end the model with a softmax."
        )


def is_whole(targets: np.ndarray) -> bool:
    """Return whether targets can be class indices or one-hot: integers, or floats of nothing but 0 and 1."""
    return targets.dtype.kind in "iub" or (targets.ndim > 1 and bool(np.isin(targets, (0, 1)).all()))


def log_probabilities(probabilities: Any) -> Any:
    """Return logarithms with finite gradients."""
    from keras import ops

    return ops.log(ops.maximum(probabilities, 1e-30))


def top_probabilities(output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
    """Return the labels of the highest probabilities, the most probable first."""
    order = np.argsort(-output, kind="stable")[:top]
    return [(labels[index], float(output[index])) for index in order]


def _columns(targets: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return predicted class, confidence, cross-entropy, whether the true class is in the top 5, sum of outputs."""
    from scipy.special import xlogy  # NumPy's logarithm may differ from it, and so from scikit-learn, in the last bit

    outputs = outputs.astype("float64")
    sums = outputs.sum(axis=-1, keepdims=True)
    normalized = outputs / sums
    true = np.take_along_axis(normalized, targets[:, np.newaxis], axis=-1)[:, 0]
    losses = -xlogy(1.0, true.clip(EPSILON, 1 - EPSILON))  # as Keras clips probabilities
    k = min(5, outputs.shape[1])
    top = np.argpartition(outputs, -k, axis=-1)[:, -k:]
    in_top_5 = (top == targets[:, np.newaxis]).any(axis=-1)
    return outputs.argmax(axis=-1), normalized.max(axis=-1), losses, in_top_5, sums[:, 0]


def _correct(targets: Any, outputs: Any) -> Any:
    """Return 1 where the class is correct; for mixed targets, the one with the largest share counts."""
    from keras import ops

    indices = ops.argmax(targets, axis=-1) if len(targets.shape) == len(outputs.shape) else targets
    return ops.cast(ops.equal(ops.cast(indices, "int32"), ops.cast(ops.argmax(outputs, axis=-1), "int32")), "float32")
