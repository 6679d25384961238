"""Predictions of an artifact or a model for images. Imports no TensorFlow, except for Keras models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..tasks.registry import DEFAULT_TASK, get_task
from .artifact.artifact import Artifact
from .loading import to_artifact
from .sample_images import check_pixels, range_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prediction:
    """Outputs for a number of images."""

    probabilities: np.ndarray
    """Float32 `(count, classes)`, also of a model that outputs logits; for other tasks than classification, outputs."""
    labels: tuple[str, ...]
    """Names of the classes or other outputs."""
    task: str = DEFAULT_TASK
    """Name of the task."""

    def rows(self, top: int | None = None) -> list[list[tuple[str, float]]]:
        """What to show for each image, each row as (label, figure), in the order of the task.

        Args:
            top: Number of rows, where they have an order by importance; None for all.

        Raises:
            InputError: Outputs of the task are not shown as rows.
        """
        task = get_task(self.task)
        if task.figure_name is None:
            raise InputError(f"{self.task} outputs have no labels to show; read `probabilities` instead.")
        return [task.predictions(output, self.labels, top) for output in self.probabilities]

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """The `k` most probable classes of each image, the most probable first, each as (label, probability).

        Raises:
            InputError: The outputs are not probabilities of classes of the image.
        """
        self._check_figure("probability", "not classes of an image; read `probabilities` instead")
        return self.rows(k)

    @property
    def masks(self) -> np.ndarray:
        """The most probable class of each pixel, `(count, height, width)`.

        Raises:
            InputError: The outputs are not maps of classes.
        """
        masks = get_task(self.task).mask(self.probabilities)
        if masks is None:
            raise InputError(f"the outputs of a {self.task} are not masks.")
        return masks

    def shares(self) -> list[list[tuple[str, float]]]:
        """The classes in each mask, the largest first, each as (label, share of the pixels).

        Raises:
            InputError: The outputs are not maps of classes.
        """
        self._check_figure("share", "not masks")
        return self.rows()

    def values(self) -> list[list[tuple[str, float]]]:
        """All values of each image, each as (name, value).

        Raises:
            InputError: The outputs are not values.
        """
        self._check_figure("value", "not values")
        return self.rows()

    def _check_figure(self, figure: str, otherwise: str) -> None:
        if get_task(self.task).figure_name != figure:
            raise InputError(f"the outputs of a {self.task} are {otherwise}.")


@check_arguments
def predict(
    artifact_or_model: "Artifact | keras.Model",
    images: np.ndarray,
    *,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    pixels: str | Sequence[float] | None = None,
    from_logits: bool | None = None,
) -> Prediction:
    """Run an artifact from `load_artifact`, or a Keras model, on images.

    Args:
        artifact_or_model: The artifact or model.
        images: `(count, height, width, channels)` or one image `(height, width, channels)`: whole numbers are raw
            pixels 0..255, floats are values in the range that the model expects, for models of the zoo 0..255, too.
        task: As in `export_model`, of a Keras model; an artifact has it in its file.
        labels: As `task`.
        pixels: As `task`.
        from_logits: As `task`.

    Raises:
        InputError: The size of the images does not match the input, or there are none.
    """
    images = np.asarray(images)
    statements: dict[str, Any] = {"task": task, "labels": labels, "pixels": pixels, "from_logits": from_logits}
    if isinstance(artifact_or_model, Artifact):
        for name, value in statements.items():
            if value is not None:
                raise InputError(f"{name} is {value!r}, but {artifact_or_model.path} states it itself; leave it out.")
    else:
        from ..zoo.contract import state_contract
        from ..zoo.model_arguments import functional_argument

        artifact_or_model = functional_argument(artifact_or_model)
        state_contract(artifact_or_model, **statements, likely_range=range_of(images))
    artifact = to_artifact(artifact_or_model)
    images = images[None] if images.ndim == 3 else images
    if not len(images) or not artifact.input.accepts(images.shape[1:]):
        shape = artifact.input.image_shape
        raise InputError(f"images of shape {images.shape}; {artifact.path} takes (count, *{shape}).")
    check_pixels(images, "images", artifact.pixel_range)
    outputs = artifact.decode(artifact.run(images))
    names = artifact.metadata.labels if artifact.metadata else map(str, range(outputs.shape[-1]))
    return Prediction(outputs, tuple(names), artifact.metadata.task if artifact.metadata else DEFAULT_TASK)
