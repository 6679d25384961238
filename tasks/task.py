"""What a task is: the base class with everything that depends on the kind of output of a model.

To add a task:

1. `layers/NAME_head.py`: its head layer, whose `TASK` is the task's name (or reuse a head).
2. `tasks/NAME.py`: a subclass of `Task`. Only the sections that apply are overridden; defaults describe a task with
   one vector for each image and no classes. Its `Accumulator` computes the metrics, its evaluation class holds them.
3. `tasks/registry.py`: one entry.
4. `tests/tasks/test_NAME.py`; `tests/tasks/test_every_task.py` then covers it too.

Nothing else in the package compares with a task's name; other modules call the methods and read the attributes below
and in `TargetForm`.

Importing a task takes NumPy alone, since prediction and evaluation of an exported artifact work without Keras. Methods
that build layers, losses or metrics import Keras themselves.

Terms: *outputs* are what a model computes for a batch, *targets* are the true values, `num_outputs` is the length of
the outputs' last axis: the number of classes, labels or values. Targets and outputs are arrays with one row for each
image. A task whose targets differ in length, such as boxes, pads them; one with several output tensors passes a dict
of them through all its methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .accumulator import Accumulator
from .logits import sigmoid, softmax
from .plots import plot_captioned
from .target_form import Labels, TargetForm

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import Head

Upsampling = tuple[int, tuple[int, int]]
"""Factor by which a feature map is upsampled to cover the image, and the rows and columns to crop after that."""


@dataclass(frozen=True)
class HeadConfig:
    """Arguments of a head."""

    num_outputs: int
    """Number of classes, labels or values; of a task whose outputs have no names their number, 0 for any."""
    labels: Labels | None = None
    dropout: float = 0.0
    """Share of the features dropped in training, 0..1."""
    scale: int = 1
    """Pixels of the output for one of the image, along each axis, of a task whose outputs are pictures."""
    value_range: tuple[float, float] = (0.0, 255.0)
    """Lowest and highest value of usual outputs that are pictures."""
    image_channels: int = 0
    """Last channels of the features that are the image itself."""
    score_map: bool = False
    """Whether scores are computed at every position and then averaged, as in SqueezeNet."""
    maps: int = 1
    """Number of maps of features, of a task that takes several."""


class Task(TargetForm):
    """Everything that depends on the kind of output. Instances have no state; `registry.get_task` returns them."""

    # Head
    has_head: ClassVar[bool] = True
    """Whether there is a head layer of the task, which `create_model` accepts."""
    made_by: ClassVar[str] = ""
    """What makes models of the task where no head is put on by name and trained, such as `training.fit_anomaly`."""
    too_few_outputs: ClassVar[str] = ""
    """Why fewer than `min_outputs` make no sense, and what to use instead; the message begins "classes is 1, and"."""
    of_signals: ClassVar[bool] = False
    """Whether its head goes on the features of signals and volumes too, not of images alone."""
    covers_image: ClassVar[bool] = False
    """Whether the output is a map with one vector for each pixel of the image."""
    takes_map: ClassVar[bool] = False
    """Whether the head takes a map of features, and positions in it matter; true of all that `covers_image`."""
    takes_maps: ClassVar[bool] = False
    """Whether the head takes several maps, those of a pyramid; other heads get one of them."""
    output_axes: ClassVar[tuple[str, ...] | None] = ("outputs",)
    """Names of the axes of the output for one image; None where outputs may have any number of axes."""

    @property
    def output_rank(self) -> int | None:
        """Number of axes of a batch of outputs; None where it is not fixed."""
        return None if self.output_axes is None else 1 + len(self.output_axes)

    def count_named(self, shape: Sequence[int | None]) -> int | None:
        """Return the number of classes, labels or values of an output of that shape for one image; None if it is open.

        The last axis is theirs in most tasks.
        """
        return shape[-1]

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

    is_likely: ClassVar[bool] = True
    """Whether outputs of other tools' files that have its form are often of it, so that people are asked about it."""

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

    # Training
    trained_by: ClassVar[tuple[str, ...]] = ()
    """Names of other tasks whose targets are targets of this one, too."""
    compares_images: ClassVar[bool] = False
    """Whether losses compare the images of a batch, which then has several images of each of several classes."""
    losses: ClassVar[tuple[str, ...]] = ()
    """Names of the losses of a recipe that fit the task; the first is the default."""
    has_auxiliary_heads: ClassVar[bool] = False
    """Whether heads on features inside a net can be trained with it, by the same targets (deep supervision)."""
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
    vision_task: ClassVar[Literal["classify", "segment"] | None] = None
    """What MediaPipe's vision tasks call it: ImageClassifier or ImageSegmenter; None where they have no such task."""
    one_decision_per_image: ClassVar[bool] = False
    """Whether an output is right or wrong as a whole, so that statistics of shares apply to images."""

    allowed_loss: ClassVar[float] = 0.01
    """Largest loss by `loss_name` of an artifact in integers, where the user states none."""

    def calibration_images(self, images: np.ndarray) -> np.ndarray:
        """Return the images that the ranges of integers are calibrated on, of training images.

        A task whose training images lack what its outputs are to find puts something of the kind into some.

        Args:
            images: `(count, height, width, channels)`, with values of any range.
        """
        return images

    @property
    def threshold_field(self) -> str | None:
        """Name of the threshold of `loss_name` in `export_model(thresholds=...)`."""
        return None if self.loss_name is None else self.loss_name.lower().replace(" ", "_").replace("@", "_at_")

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return which decisions two models share, bool `(images, decisions)`; None where outputs decide nothing."""
        return None

    def counted_decisions(self, targets: np.ndarray) -> np.ndarray | None:
        """Return which decisions matter, bool, in the shape of `equal_decisions`; None if all do."""
        return None

    def decision_margins(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """Return by which factor the error of `outputs` may grow before an image is decided otherwise, `(images,)`.

        Infinite where no error brings another decision nearer, below 1 where `outputs` decide otherwise. None for a
        task with more than one decision for an image, or none.
        """
        return None

    # Predictions
    output_meaning: ClassVar[str] = ""
    """What the numbers of an output are, for the README of an export; empty where `figure_name` and `activation` say
    it."""
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

    place_names: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers of each of `places`, those of a point or of the edges of a box; empty without places."""

    @property
    def has_places(self) -> bool:
        """Whether rows of `predictions` are at places of the image, which `places` tells."""
        return bool(self.place_names)

    draws_over: ClassVar[bool] = False
    """Whether outputs move with the image, over which `draw_over` draws them; true of all that `has_places`."""

    def places(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[dict[str, float]]:
        """Return where in the image the rows of `predictions` are, such as `{"x": 0.5, "y": 0.25}`, in their order.

        Shares of width and height, from the left and from the top. Empty for a task without places.
        """
        return []

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image | None":
        """Return a copy of the image, in RGB, with the output drawn over it; None for a task that draws none."""
        return None

    draws_targets: ClassVar[bool] = False
    """Whether targets can be seen in the pictures of `draw_targets`."""

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return images with their targets drawn over or beside them, uint8 `(count, height, width, 3)`.

        Args:
            images: uint8, `(count, height, width, 1 or 3)`.
            targets: Targets of these images.
            labels: Names of the classes, labels or values.
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
