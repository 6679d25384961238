"""Asking an artifact what is in a picture. Imports no TensorFlow, unless a Keras model is asked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from .artifact.artifact import Artifact
from .loading import to_artifact

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prediction:
    """Answers to a number of images."""

    probabilities: np.ndarray
    """Float32 of shape `(count, classes)`; what other tasks than classification answer instead stands here too."""
    labels: tuple[str, ...]
    """Names of the classes."""
    task: str = "classification"
    """What the answers are."""

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """For every image the `k` most probable classes, the most probable first, each as (label, probability).

        Raises:
            InputError: The answers are not probabilities of what an image shows, as those of a regression are not.
        """
        if self.task not in ("classification", "multi_label"):
            raise InputError(f"the answers of a {self.task} are not classes of an image; read `probabilities` instead.")
        order = np.argsort(-self.probabilities, axis=-1, kind="stable")[:, :k]
        return [
            [(self.labels[i], float(row[i])) for i in best] for row, best in zip(self.probabilities, order, strict=True)
        ]

    @property
    def masks(self) -> np.ndarray:
        """Of a segmentation: the index of the most probable class at each place, `(count, height, width)`.

        Raises:
            InputError: The answers are no maps.
        """
        if self.task != "segmentation":
            raise InputError(f"the answers of a {self.task} are no masks.")
        return self.probabilities.argmax(axis=-1)

    def shares(self) -> list[list[tuple[str, float]]]:
        """Of a segmentation: for every image the classes in it, the largest first, each as (label, share of places).

        Raises:
            InputError: The answers are no maps.
        """
        counts = [np.bincount(mask.ravel(), minlength=len(self.labels)) for mask in self.masks]
        return [
            [(self.labels[i], float(row[i] / row.sum())) for i in np.argsort(-row, kind="stable") if row[i]]
            for row in counts
        ]

    def values(self) -> list[list[tuple[str, float]]]:
        """Of a regression: for every image all numbers, each as (name, number).

        Raises:
            InputError: The answers are no numbers.
        """
        if self.task != "regression":
            raise InputError(f"the answers of a {self.task} are no numbers.")
        return [list(zip(self.labels, map(float, row), strict=True)) for row in self.probabilities]


def predict(artifact_or_model: "Artifact | keras.Model", images: np.ndarray) -> Prediction:
    """Asks about images an artifact from `load_artifact`, or a Keras model.

    Args:
        artifact_or_model: What to ask.
        images: Raw pixels 0..255, `(count, height, width, channels)` or one image `(height, width, channels)`.

    Raises:
        InputError: The images are not of the size that the artifact takes, or there are none.
    """
    artifact = to_artifact(artifact_or_model)
    images = np.asarray(images)
    images = images[None] if images.ndim == 3 else images
    if not len(images) or not artifact.input.accepts(images.shape[1:]):
        shape = artifact.input.image_shape
        raise InputError(f"images of shape {images.shape}; {artifact.path} takes (count, *{shape}).")
    probabilities = artifact.run(images)
    names = artifact.metadata.labels if artifact.metadata else map(str, range(probabilities.shape[-1]))
    task = artifact.metadata.task if artifact.metadata else "classification"
    return Prediction(probabilities, tuple(names), task)
