"""What a task is: the base class with everything that depends on the kind of output of a model.

To add a task:

1. `layers/heads.py`: its head layer, whose `TASK` is the task's name (or reuse a head).
2. `tasks/NAME.py`: a subclass of `Task`. Only the sections that apply are overridden; defaults describe a task with
   one vector for each image and no classes. Its `Accumulator` computes the metrics, its evaluation class holds them.
3. `tasks/registry.py`: one entry.
4. `tests/tasks/test_NAME.py`; `tests/tasks/test_every_task.py` then covers it too.

Nothing else in the package compares with a task's name; other modules call the methods and read the attributes below.

Importing a task takes NumPy alone, since prediction and evaluation of an exported artifact work without Keras. Methods
that build layers, losses or metrics import Keras themselves.

Terms: *outputs* are what a model computes for a batch, *targets* are the true values, `num_outputs` is the length of
the outputs' last axis: the number of classes, labels or values. Targets and outputs are arrays with one row for each
image. A task whose targets differ in length, such as boxes, pads them; one with several output tensors passes a dict
of them through all its methods.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from ..core.errors import InputError
from .accumulator import Accumulator
from .logits import sigmoid, softmax
from .plots import plot_captioned

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import Head

Labels = tuple[str, ...]
"""Names of classes, labels or values, in the order of the outputs."""
Upsampling = tuple[int, tuple[int, int]]
"""Factor by which a feature map is upsampled to cover the image, and the rows and columns to crop after that."""
Warp = Callable[..., Any]
"""Geometric augmentation of a batch: `warp(maps, interpolation="nearest" or "bilinear")` moves float or integer maps
`(batch, height, width, channels)` as it moves the images."""


@dataclass(frozen=True)
class HeadConfig:
    """Arguments of a head."""

    num_outputs: int
    """Number of classes, labels or values; 0 for a task whose outputs have no names."""
    labels: Labels | None = None
    dropout: float = 0.0
    """Share of the features dropped in training, 0..1."""
    score_map: bool = False
    """Whether scores are computed at every position and then averaged, as in SqueezeNet."""


class Table(Protocol):
    """Columns of a CSV file, one row for each image."""

    path: Path

    def read(self, column: str, parse: Callable[[str], Any]) -> list[Any]:
        """Return the parsed values of a column; a ValueError of `parse` becomes an InputError with line and column."""


class Task(ABC):
    """Everything that depends on the kind of output. Instances have no state; `registry.get_task` returns them."""

    name: ClassVar[str]
    """Name in `create_model(head=...)`, in data, recipes, files and manifests, and `TASK` of the head layer."""

    # Head
    has_head: ClassVar[bool] = True
    """Whether there is a head layer of the task, which `create_model` accepts."""
    min_outputs: ClassVar[int | None] = 1
    """Smallest number of classes, labels or values; None where outputs are not named and their number is fixed."""
    too_few_outputs: ClassVar[str] = ""
    """Why fewer than `min_outputs` make no sense, and what to use instead; the message begins "classes is 1, and"."""
    covers_image: ClassVar[bool] = False
    """Whether the output is a map with one vector for each pixel of the image."""

    @abstractmethod
    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "Head":
        """Return a head layer.

        Args:
            config: Number of outputs, labels and arguments.
            name: Name of the layer.
            upsampling: Measures the upsampling that makes the features cover the image; costs a second.
        """

    # Outputs of other models
    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = None
    """What makes outputs of the task from logits; None where there are no logits. A softmax may be replaced by the
    sigmoid of a single output, the probability of the second of two classes."""

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether labels are more likely of this task than of any other, `(count, ...)`."""
        return False

    keras_losses: ClassVar[tuple[str, ...]] = ()
    """Names of the losses of Keras that show that a model compiled with them has this task."""

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether an output from no head of the zoo has this task's form; arguments as in `recognize_task`."""
        return False

    def decode_outputs(self, outputs: np.ndarray, *, from_logits: bool = False) -> np.ndarray:
        """Return the outputs of any model in the form of the task, such as one probability for each class.

        Args:
            outputs: Float, `(..., outputs)`.
            from_logits: Whether they are logits.
        """
        if self.activation is None:
            return outputs
        single = self.activation == "softmax" and outputs.shape[-1] == 1
        if from_logits:
            outputs = sigmoid(outputs) if single else {"softmax": softmax, "sigmoid": sigmoid}[self.activation](outputs)
        return np.concatenate([1 - outputs, outputs], axis=-1) if single else outputs

    # Targets
    has_targets: ClassVar[bool] = True
    """Whether there is a true value that outputs can be trained and evaluated with."""
    target_dtype: ClassVar[str] = "float32"
    """NumPy dtype of targets in training."""
    target_kinds: ClassVar[str] = "iuf"
    """NumPy's kind letters of accepted arrays."""
    target_form: ClassVar[str] = ""
    """Description for messages, such as `whole numbers (count,)`."""
    class_indices: ClassVar[bool] = False
    """Whether targets are indices of classes; labels may then include classes that no target has."""

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of one image's target; `sides` are height and width of the output map, `()` of a vector."""
        return (num_outputs,)

    def check_targets(
        self, targets: np.ndarray, what: str, *, num_outputs: int | None = None, ignore: int | None = None
    ) -> np.ndarray:
        """Return the validated targets in the dtype of training, `(count, *target_shape)`.

        Args:
            targets: One row for each image.
            what: Subject of error messages, in the plural: `"the targets of train"`.
            num_outputs: Number of classes, labels or values; None accepts any.
            ignore: Label of pixels without a class, which may occur besides the classes.

        Raises:
            InputError: Dtype, shape or a value is not what the task accepts.
        """
        targets = self._with_axes(np.asarray(targets))
        shape = self.target_shape(num_outputs, (None, None))
        if targets.dtype.kind not in self.target_kinds or not _fits(targets.shape[1:], shape):
            size = "" if num_outputs is None else f" of {num_outputs}"
            raise InputError(
                f"{what} are {targets.dtype} of the shape {targets.shape}; a {self.name}{size} takes "
                f"{self.target_form}."
            )
        self._check_values(self.without_void(targets, ignore), what, num_outputs)
        return targets.astype(self.target_dtype)

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets with an axis added or removed, where a common form differs from that of training."""
        return targets

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        if not np.isfinite(targets).all():
            raise InputError(f"{what} have a value that is no finite number; a {self.name} takes {self.target_form}.")
        wrong = self.class_out_of_range(targets, num_outputs)
        if wrong is not None:
            end = "on" if num_outputs is None else f"to {num_outputs - 1}"
            raise InputError(f"{what} have the class {wrong}; classes go from 0 {end}.")

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return a class index below 0 or not below `num_outputs`; None if there is none, or targets are no classes."""
        if not self.class_indices or not targets.size:
            return None
        low, high = int(targets.min()), int(targets.max())
        if num_outputs is not None and high >= num_outputs:
            return high
        return low if low < 0 else None

    void: ClassVar[int | None] = None
    """Class index of pixels without a class, in the batches of training and evaluation; None where there are none."""

    def mark_void(self, targets: np.ndarray, ignore: int | None) -> np.ndarray:
        """Return the targets with `void` in place of the label `ignore`."""
        if ignore is None or self.void is None:
            return targets
        return np.where(targets == ignore, np.asarray(self.void, targets.dtype), targets)

    def without_void(self, targets: np.ndarray, ignore: int | None) -> np.ndarray:
        """Return the targets in their shape, or a vector of those that are not the label `ignore`."""
        return targets if ignore is None or self.void is None else targets[targets != ignore]

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of classes, labels or values that validated targets have at least."""
        if not targets.size:
            return self.min_outputs or 1
        return max(int(targets.max()) + 1, self.min_outputs or 1) if self.class_indices else targets.shape[1]

    def has_form(self, targets: Any) -> bool:
        """Return whether targets have the rank (and if that is ambiguous, the values) of this task's targets."""
        return self.has_targets and len(targets.shape) == 1 + len(self.target_shape(1, (1, 1)))

    # Targets in tables, files and TFRecord shards
    column: ClassVar[str | None] = None
    """Column of a table that states this task; None: all columns without such a name are its values."""
    in_files: ClassVar[bool] = False
    """Whether each target is an encoded file, which `decode_file` and its siblings read when it is needed."""
    feature_key: ClassVar[str] = ""
    """Key of the target in a `tf.train.Example`, after the output's name and a slash."""

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels | None, np.ndarray | list[Path]]:
        """Return the labels (None if the table does not name them) and the targets, paths for targets `in_files`.

        Args:
            table: The table.
            columns: Full name of each column by its name within the output.

        Raises:
            InputError: A value is wrong, or there are too few classes.
        """
        raise NotImplementedError

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return one image's target as int64s or float32s for a TFRecord feature; not called for targets `in_files`."""
        raise NotImplementedError

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray | int:
        """Return one image's target from the numbers of a TFRecord feature; not called for targets `in_files`.

        Raises:
            ValueError: The numbers are not what `encode` writes; the message continues "KEY ...".
        """
        raise NotImplementedError

    def decode_file(self, encoded: bytes, name: str) -> np.ndarray:
        """Return one image's target from the content of its file; `name` is for error messages.

        Raises:
            InputError: The content cannot be decoded, or does not hold targets.
        """
        raise NotImplementedError

    def check_file(
        self, target: np.ndarray, name: str, image: bytes, num_outputs: int | None, ignore: int | None = None
    ) -> None:
        """Raises InputError where a decoded target does not belong to its encoded, readable `image`."""
        raise NotImplementedError

    def resize_target(self, target: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the decoded target for an image of another size."""
        raise NotImplementedError

    # Classes in targets
    class_unit: ClassVar[Literal["images", "pixels"] | None] = None
    """What `class_counts` counts; None where targets have no classes."""
    one_class_per_image: ClassVar[bool] = False
    """Whether targets are one class index for each image, by which splits and folds are stratified."""

    def class_counts(self, targets: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the number of images or pixels of each class, int64 `(num_outputs,)`."""
        raise NotImplementedError

    def value_statistics(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the statistics for a survey of targets without classes, by label."""
        return {}

    # Augmentation
    mixable: ClassVar[bool] = False
    """Whether a weighted mean of two images' targets is a target, as MixUp and CutMix need it."""

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Return the targets of a batch after a geometric augmentation of the images; a tensor of TensorFlow."""
        return targets

    def soft_targets(self, targets: Any, num_outputs: int) -> Any:
        """Return a batch's targets in a form that can be averaged, float32 `(batch, num_outputs)`, where `mixable`."""
        return targets

    # Training
    losses: ClassVar[tuple[str, ...]] = ()
    """Names of the losses of a recipe that fit the task; the first is the default."""
    has_linear_probe: ClassVar[bool] = False
    """Whether logistic regression on frozen features can fit the head."""

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the Keras metrics that `fit` reports in each epoch."""
        raise NotImplementedError

    def distillation_logits(self, outputs: Any) -> Any | None:
        """Return logits whose softmax over the last axis is `outputs`; None: distillation compares the outputs."""
        return None

    # Evaluation
    metric: ClassVar[str | None] = None
    """Name of the main metric in manifests, such as `accuracy`; None without targets."""

    def accumulator(self, labels: Sequence[str]) -> Accumulator:
        """Return an empty accumulator of all metrics."""
        raise NotImplementedError

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return a sheet of images with targets and predictions.

        Args:
            images: uint8, `(count, height, width, channels)`.
            targets: Targets of these images.
            outputs: Outputs for these images.
            labels: Names of the classes, labels or values.
            names: File or number of each image.
        """
        captions = [self.caption(*pair, labels) for pair in zip(targets, outputs, strict=True)]
        return plot_captioned(images, captions, names)

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the text above one image in `plot_examples`, and whether the prediction is wrong.

        Not called for tasks that draw something else than a captioned image.
        """
        raise NotImplementedError

    # Export
    output_name: ClassVar[str]
    """Name of the output in artifacts."""
    loss_name: ClassVar[str | None] = None
    """Name of the gate on `Accumulator.loss_against`, such as `accuracy drop`; None without targets."""
    one_decision_per_image: ClassVar[bool] = False
    """Whether an output is right or wrong as a whole, so that statistics of shares apply to images."""

    @property
    def threshold_field(self) -> str | None:
        """Name of the threshold of `loss_name`: a field of `export.formats.Format`."""
        return None if self.loss_name is None else self.loss_name.lower().replace(" ", "_")

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return which decisions two models share, bool `(images, decisions)`; None where outputs decide nothing."""
        return None

    def decision_margins(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return by which factor the error of `outputs` may grow before an image is decided otherwise, `(images,)`.

        Infinite where no error brings another decision nearer, below 1 where `outputs` decide otherwise. None for a
        task with more than one decision for an image, or none.
        """
        return None

    # Predictions
    figure_name: ClassVar[str | None] = None
    """What the number of a row of `predictions` is, such as `probability`; None where outputs are not shown as rows."""

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return what to show of the output for one image: rows of label and number.

        Args:
            output: Output for one image.
            labels: Names of the classes, labels or values.
            top: Number of rows, where they have an order by importance; None for all.
        """
        raise NotImplementedError

    def format_figure(self, figure: float) -> str:
        """Return the number of a row of `predictions` as text."""
        return f"{figure:.2%}"

    def mask(self, outputs: np.ndarray) -> np.ndarray | None:
        """Return the class index of each pixel, `(images, height, width)`; None where outputs are not class maps."""
        return None

    def picture(self, output: np.ndarray) -> "Image.Image | None":
        """Return a picture of the output for one image, to be saved as PNG; None where it has none.

        Raises:
            InputError: There are more classes than a picture can show.
        """
        return None


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, side) for side, want in zip(shape, wanted, strict=True))
