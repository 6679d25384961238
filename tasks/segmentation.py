"""Segmentation: one class for each pixel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import Accumulator
from .bootstrap import intervals
from .class_targets import class_indices
from .classification import SINGLE_CLASS, log_probabilities
from .evaluation import EPSILON, BaseEvaluation, Row, confusion_table
from .mask_files import decode_mask, draw_mask, read_class_names
from .plots import plot_confusion, plot_masks
from .table_values import parse_path
from .target_form import Labels, Table, Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import SegmentationHead

VOID = -1
"""Class index of pixels without a class, which losses and metrics leave out."""
LIKELY_VOID = 255
"""Label of such pixels in most datasets."""


class Segmentation(Task):
    """Probabilities `(batch, height, width, classes)` that sum to 1; targets are masks of class indices, int32
    `(count, height, width)`."""

    name = "segmentation"
    of_signals = True
    activation = "softmax"
    keras_losses = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy", "dice")
    min_outputs = 2
    too_few_outputs = SINGLE_CLASS
    covers_image = takes_map = True
    output_axes = ("height", "width", "outputs")
    target_dtype = "int32"
    target_kinds = "iub"
    target_form = "whole numbers (count, height, width), or one-hot maps (count, height, width, classes)"
    class_indices = True
    column = "mask"
    in_files = True
    layout = "masks"
    feature_key = "segmentation/class/encoded"
    void = VOID
    class_unit = "pixels"
    losses = ("cross_entropy", "focal", "dice", "tversky")
    has_auxiliary_heads = True
    metric = "mean IoU"
    output_name = "mask"
    loss_name = "mean IoU drop"
    vision_task = "segment"
    figure_name = "share"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "SegmentationHead":
        """Return a head that upsamples its scores to the size of the image."""
        from ..layers import SegmentationHead

        strides, crop = upsampling()
        return SegmentationHead(config.num_outputs, labels=config.labels, strides=strides, crop=crop, name=name)

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(height, width)`: one index for each pixel."""
        return tuple(sides)

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return class_indices(targets) if targets.ndim == 4 else targets

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels | None, list[Path]]:
        """Return the paths of mask files, and the classes in the `labels.txt` beside the table, if there is one."""
        column = columns["mask"]
        paths = [table.path.parent / value for value in table.read(column, parse_path)]
        file = table.path.parent / f"{column.removesuffix('mask')}labels.txt"
        return read_class_names(file) if file.exists() else None, paths

    def decode_file(self, encoded: bytes, name: str) -> np.ndarray:
        """Return the class indices in a mask file, int32 `(height, width)`."""
        return decode_mask(encoded, name)

    def check_file(
        self,
        target: np.ndarray,
        name: str,
        image_size: tuple[int, int],
        num_outputs: int | None,
        ignore: int | None = None,
    ) -> None:
        """Raises InputError where a mask has not the size of its image, or other classes."""
        super().check_file(target, name, image_size, num_outputs, ignore)
        wrong = self.class_out_of_range(self.without_void(target, ignore), num_outputs)
        if wrong is not None and num_outputs is not None:
            hint = ""
            if wrong == LIKELY_VOID and num_outputs == 2:
                hint = "; save 255 as 1 if that is the second class, or state ignore=255 if it is none"
            elif wrong == LIKELY_VOID and ignore != LIKELY_VOID:
                hint = "; state ignore=255 (--ignore 255) if that is no class"
            raise InputError(f"{name} has the value {wrong}; class indices go from 0 to {num_outputs - 1}{hint}.")

    def default_labels(self, targets: np.ndarray, ignore: int | None) -> Labels:
        """Return the class indices; raises InputError where 255 marks pixels, or only one class is not left out."""
        values = np.flatnonzero(np.bincount(targets.ravel()))
        if ignore is None and LIKELY_VOID in values and len(values) < LIKELY_VOID:
            raise InputError(
                f"the masks have the values {', '.join(map(str, values[:5]))}{', ...' if len(values) > 5 else ''}, "
                "which are class indices, from 0 on; where 255 marks the object, divide the masks by 255, and where it "
                "marks pixels without a class, state ignore=255 (training.from_arrays)."
            )
        if ignore in values and len(values) < 3:
            raise InputError(
                f"the masks have one class, {values[values != ignore]}, besides {ignore}, which is ignored; where "
                f"{ignore} is a class, make it 1, and leave ignore out."
            )
        return super().default_labels(targets, ignore)

    def file_facts(self, target: np.ndarray, image_size: tuple[int, int]) -> list[int]:
        """Return the values of a mask."""
        return np.unique(target).tolist()

    def settle_files(self, facts: Mapping[str, list[int]], source: str, ignore: int | None) -> tuple[Labels, int]:
        """Return the class indices that occur in masks, as their names."""
        found = sorted(set().union(*facts.values()) - {ignore})
        if len(found) >= 2 and found == list(range(len(found))):
            return tuple(map(str, found)), 1
        shown = ", ".join(map(str, found)) or "none"
        void = found and found[-1] == LIKELY_VOID and found[:-1] == list(range(len(found) - 1)) and len(found) > 2
        if found == [0, LIKELY_VOID]:
            remedy = "Save 255 as 1 where black and white are the two classes (mask // 255)."
        elif void:
            remedy = "Where 255 marks pixels without a class, state ignore=255 (--ignore 255)."
        else:
            remedy = "Where a class is in no mask, name all classes in a labels.txt beside the masks."
        raise InputError(f"{source}: the masks have the values {shown}; they are class indices, from 0 on. {remedy}")

    def resize_target(self, target: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the nearest pixels: there is nothing between two classes."""
        from PIL import Image

        return np.asarray(Image.fromarray(target).resize((width, height), Image.Resampling.NEAREST))

    def class_counts(self, targets: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the pixels of each class; those without a class, marked as `VOID`, do not count."""
        return np.bincount(targets[targets != VOID], minlength=num_outputs)

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move masks with their images, by the nearest pixel."""
        return warp(targets[..., None], interpolation="nearest")[..., 0]

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the mean IoU."""
        import keras

        return [keras.metrics.MeanIoU(num_outputs, sparse_y_pred=False, ignore_class=VOID, name="mean_iou")]

    def distillation_logits(self, outputs: Any) -> Any:
        """Return the logarithms, as of a classification, for each pixel."""
        return log_probabilities(outputs)

    def accumulator(self, labels: Sequence[str]) -> "PixelAccumulator":
        """Return the accumulator of a `SegmentationEvaluation`."""
        return PixelAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the image, mask and predicted mask side by side."""
        return plot_masks(images, targets, self.mask(outputs), labels, names)

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether they are maps of whole numbers: class indices, or one-hot."""
        if labels.dtype.kind not in "iub" or labels.ndim not in (3, 4):
            return False
        return labels.ndim == 3 or labels.shape[-1] == 1 or bool((labels.astype(bool).sum(axis=-1) == 1).all())

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether it is a map from a softmax, or from the sigmoid of a single class."""
        return len(output_shape) == 4 and activation == ("sigmoid" if output_shape[-1] == 1 else "softmax")

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return whether the most probable classes of each pixel are equal; None for a single class."""
        if reference.shape[-1] == 1:
            return None
        return (outputs.argmax(axis=-1) == reference.argmax(axis=-1)).reshape(len(outputs), -1)

    def counted_decisions(self, targets: np.ndarray) -> np.ndarray:
        """Return which pixels have a class."""
        return (targets != VOID).reshape(len(targets), -1)

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the classes in the image with their shares of its pixels, the largest first."""
        counts = np.bincount(output.argmax(axis=-1).ravel(), minlength=len(labels))
        order = np.argsort(-counts, kind="stable")[:top]
        return [(labels[index], float(counts[index] / counts.sum())) for index in order if counts[index]]

    def mask(self, outputs: np.ndarray) -> np.ndarray:
        """Return the most probable class of each pixel."""
        return outputs.argmax(axis=-1)

    def picture(self, output: np.ndarray) -> "Image.Image":
        """Return a mask whose values are class indices, with a color for each class."""
        return draw_mask(self.mask(output), output.shape[-1])


@dataclass(frozen=True)
class SegmentationEvaluation(BaseEvaluation):
    """Metrics of a segmentation on one split; `loss` is the mean cross-entropy of a pixel, in nats."""

    SUMMARY: ClassVar = {"mean IoU": "mean_iou", "mean Dice": "mean_dice", "accuracy": "accuracy", "loss": "loss"}

    accuracy: float
    """Share of the pixels whose most probable class is correct, 0..1."""
    mean_iou: float
    """Mean intersection over union of the classes that occur in masks or predictions, 0..1."""
    mean_dice: float
    """Mean Dice coefficient of the same classes, 2 * intersection / (pixels in masks + pixels predicted), 0..1."""
    per_class: dict[str, Row]
    """`iou`, `dice`, precision, recall and pixels (number in the masks) by class; None for a class that never occurs.
    """
    confusion: np.ndarray
    """Number of pixels by true class (row) and predicted class (column)."""

    @classmethod
    def of_counts(
        cls,
        confusion: np.ndarray,
        intersections: np.ndarray,
        unions: np.ndarray,
        loss: float,
        labels: Sequence[str],
    ) -> Self:
        """Return the evaluation of numbers of pixels.

        Args:
            confusion: Pixels by true and predicted class, over all images.
            intersections: Pixels of each class in mask and prediction, `(images, classes)`.
            unions: Pixels of each class in mask or prediction, `(images, classes)`.
            loss: Mean cross-entropy of a pixel.
            labels: Names of the classes.
        """
        correct, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        iou, dice = _shares(correct, true + predicted - correct), _shares(2 * correct, true + predicted)
        rows = zip(labels, iou, dice, _shares(correct, predicted), _shares(correct, true), true.tolist(), strict=True)
        images = len(intersections)
        return cls(
            images=images,
            loss=loss,
            intervals=intervals("mean_iou", lambda drawn: mean_iou(drawn.T @ intersections, drawn.T @ unions), images),
            accuracy=float(correct.sum() / confusion.sum()),
            mean_iou=float(np.mean([share for share in iou if share is not None])),
            mean_dice=float(np.mean([share for share in dice if share is not None])),
            per_class={
                label: {"iou": iou, "dice": dice, "precision": precision, "recall": recall, "pixels": pixels}
                for label, iou, dice, precision, recall, pixels in rows
            },
            confusion=confusion,
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by class."""
        return self.per_class

    def tables(self, labels: Sequence[str]) -> dict[str, list[list[str]]]:
        """Return the confusion matrix."""
        return {"confusion.csv": confusion_table(self.confusion, labels)}

    def plots(self, labels: Sequence[str]) -> dict[str, "Figure"]:
        """Return the confusion matrix."""
        return {"confusion.png": plot_confusion(self.confusion, labels)}


class PixelAccumulator(Accumulator):
    """Accumulates a `SegmentationEvaluation` in counts of pixels; no outputs are kept."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._confusion = np.zeros((len(labels), len(labels)), "int64")
        self._intersections: list[np.ndarray] = []
        self._unions: list[np.ndarray] = []
        self._loss = 0.0

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch of masks `(count, height, width)` and probabilities `(count, height, width, classes)`."""
        classes, known = len(self.labels), targets != VOID
        pairs = targets * classes + outputs.argmax(axis=-1)
        pairs += classes**2 * np.arange(len(targets)).reshape(-1, *(1,) * (targets.ndim - 1))
        counts = np.bincount(pairs[known], minlength=len(targets) * classes**2).reshape(-1, classes, classes)
        self._confusion += counts.sum(axis=0)
        intersections = np.diagonal(counts, axis1=1, axis2=2)
        self._intersections.append(intersections)
        self._unions.append(counts.sum(axis=1) + counts.sum(axis=2) - intersections)
        true = np.take_along_axis(outputs, np.where(known, targets, 0)[..., np.newaxis], axis=-1)[known]
        self._loss -= np.log(true.clip(EPSILON).astype("float64")).sum()

    @property
    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Intersections and unions, `(images, classes)`."""
        return np.concatenate(self._intersections), np.concatenate(self._unions)

    def evaluation(self) -> SegmentationEvaluation:
        """Return the evaluation of all batches.

        Raises:
            InputError: No pixel has a class.
        """
        if not self._confusion.any():
            raise InputError("no pixel of the masks has a class; all of them have the label to ignore.")
        loss = float(self._loss / self._confusion.sum())
        return SegmentationEvaluation.of_counts(self._confusion, *self._counts, loss, self.labels)

    def errors(self) -> np.ndarray:
        """Return one minus the mean IoU of the classes that occur in the image's mask or prediction; 0 if none does."""
        return np.nan_to_num(1 - mean_iou(*self._counts))

    @property
    def score(self) -> float:
        """Mean IoU over all images."""
        return float(mean_iou(*(counts.sum(axis=0) for counts in self._counts)))

    @property
    def scores(self) -> np.ndarray:
        """Tukey's pseudo-values (Bias and confidence in not-quite large samples, 1958) of the mean IoU of all images,
        which is no mean over images: the score, plus how often it changes by leaving out the image."""
        intersections, unions = self._counts
        images = len(unions)
        without = mean_iou(intersections.sum(axis=0) - intersections, unions.sum(axis=0) - unions)
        return images * self.score - (images - 1) * without


def mean_iou(intersections: np.ndarray, unions: np.ndarray) -> np.ndarray:
    """Return the mean IoU over the classes, the last axis, that occur at all; NaN if none does."""
    occurs = unions > 0
    with np.errstate(invalid="ignore"):
        return np.where(occurs, intersections / np.maximum(unions, 1), 0).sum(axis=-1) / occurs.sum(axis=-1)


def _shares(counts: np.ndarray, totals: np.ndarray) -> list[float | None]:
    return [float(count / total) if total else None for count, total in zip(counts, totals, strict=True)]
