"""Images for the calibration and validation of an export."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..core.errors import InputError
from .artifact.metadata import ImagesRecord, Metadata
from .artifact.tensors import matches_shape
from .large_arrays import Rows, batch_slices, select_rows, store_rows
from .validation.measures import MEASURES

CALIBRATION_IMAGES = 200
SEED = 0
"""Seed for subsampling."""
MIN_CORRELATION = 0.1
"""Smallest correlation of neighboring pixels in real images."""


@dataclass(frozen=True)
class Samples:
    """Images with raw pixels 0..255, and labels if there are any."""

    images: Rows
    """`(count, height, width, channels)`; may be memory-mapped."""
    labels: np.ndarray | None
    """Class indices `(count,)`, or by task: 0 or 1 `(count, labels)`, numbers `(count, outputs)`, class indices
    `(count, height, width)`."""
    source: str = "array"
    """Origin: the name of a dataset and its split, or `array`."""
    seed: int | None = None
    """Seed for subsampling; None where all images are used."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @classmethod
    def from_source(
        cls,
        source: Any,
        what: str,
        shape: tuple[int, int, int],
        classes: int | None,
        most: int | None = None,
        task: str = "classification",
    ) -> "Samples":
        """Validate images, a pair (images, labels), or a split of a dataset.

        The images of a split are read once, in batches, into a temporary file.

        Args:
            source: One of these. A split has `labels` and `images`, which has `take(indices)`.
            what: What error messages call it.
            shape: Height, width and channels of the images; None for an open size.
            classes: Number of classes, labels or values; None ignores labels.
            most: Largest number of images, subsampled with `SEED`, balanced over the classes where they are known.
            task: The task of the labels.

        Raises:
            InputError: It is something else, is empty, or its images or labels are invalid.
        """
        is_split = hasattr(source, "images") and hasattr(source, "labels")
        if is_split:
            images, labels = source.images, source.labels
            if not len(images):
                raise InputError(f"{what} has no images.")
        else:
            images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
            images = _as_array(images, what)
        count, labels = len(images), None if classes is None else labels
        labels = None if labels is None else _checked_labels(labels, count, classes, what, task)
        rows = _subsample(count, labels, most)
        if is_split:
            images = store_rows(_read_batches(images, rows, what, shape))
        else:
            images = images if len(rows) == count else images[rows]
            for batch in _batches(images, what, shape):
                _check_pixels(batch, what)
        labels = None if labels is None else labels[rows]
        return cls(images, labels, getattr(source, "source", None) or "array", SEED if len(rows) < count else None)

    def select(self, rows: np.ndarray) -> "Samples":
        """The images at these indices, and their labels."""
        labels = None if self.labels is None else self.labels[rows]
        return Samples(select_rows(self.images, rows), labels, self.source, self.seed)

    def without(self, other: "Samples") -> "Samples":
        """The images that are not in `other`."""
        excluded = {_image_hash(image) for image in other.images}
        return self.select(
            np.array([row for row, image in enumerate(self.images) if _image_hash(image) not in excluded], int)
        )

    def vary(self) -> bool:
        """Whether any two images differ."""
        return any(np.any(image != self.images[0]) for image in self.images)

    def check_not_noise(self, what: str) -> None:
        """Raise InputError where neighboring pixels are not correlated.

        In photographs and drawings they are, and layers respond to that: activation ranges on noise are not those of
        any image. Measured is the correlation of each pixel with those below and to the right, relative to the mean of
        its image: digits, photographs and textures have 0.3 or more, noise has 0.
        """
        variance, vertical, horizontal = [], [], []
        for image in self.images:
            pixels = np.float32(image)
            pixels = pixels - pixels.mean(axis=(0, 1))
            variance.append(np.mean(pixels**2))
            vertical.append(np.mean(pixels[1:] * pixels[:-1]))
            horizontal.append(np.mean(pixels[:, 1:] * pixels[:, :-1]))
        correlation = max(abs(np.mean(vertical)), abs(np.mean(horizontal)))
        if np.mean(variance) > 0 and correlation < MIN_CORRELATION * np.mean(variance):
            raise InputError(f"{what} is noise: neighboring pixels are not correlated; give real images.")

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels as float32."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(np.float32(image).tobytes())
        return digest.hexdigest()

    def record(self, **figures: Any) -> ImagesRecord:
        """Identity of the images for a manifest; `figures` are further fields."""
        return ImagesRecord(source=self.source, count=len(self), seed=self.seed, sha256=self.sha256, **figures)


def evaluation_samples(source: Any, metadata: Metadata) -> Samples:
    """Validate evaluation images for a model; raises InputError where they cannot be used."""
    outputs = len(metadata.labels) if metadata.task in MEASURES else None
    samples = Samples.from_source(source, "evaluation", metadata.image_shape, outputs, task=metadata.task)
    if not samples.vary():
        raise InputError("evaluation has only one distinct image; outputs that do not vary prove nothing.")
    return samples


def calibration_samples(source: Any, evaluation: Samples | None, metadata: Metadata) -> Samples:
    """Subsample and validate calibration images for a model; raises InputError where they cannot be used."""
    classes = len(metadata.labels) if metadata.task == "classification" else None
    samples = Samples.from_source(source, "calibration", metadata.image_shape, classes, most=CALIBRATION_IMAGES)
    samples.check_not_noise("calibration")
    if evaluation is not None:
        samples = samples.without(evaluation)
        if not len(samples):
            raise InputError("all calibration images are evaluation images too; calibrate with training images.")
    return samples


def _image_hash(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.float32(image).tobytes()).digest()


def _subsample(count: int, labels: np.ndarray | None, most: int | None) -> np.ndarray:
    """Indices of at most `most` of `count` images, balanced over the classes where `labels` are classes."""
    classes = np.zeros(count, int) if labels is None or labels.ndim > 1 else labels
    random, rank_in_class = np.random.default_rng(SEED), np.zeros(count, int)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        rank_in_class[members] = random.permutation(len(members))
    return np.sort(np.argsort(rank_in_class, kind="stable")[:most])


def _as_array(images: Any, what: str) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(images))
    except ValueError as error:  # a list of images of several sizes
        raise InputError(f"{what} has images of several shapes; give them one size.") from error


def _read_batches(images: Any, rows: np.ndarray, what: str, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Read and validate the images of a split at `rows`."""
    for batch in batch_slices(len(rows), 4 * prod(images.shape)):
        pixels = images.take(rows[batch])
        _check_shape(pixels, len(rows), what, shape)
        _check_pixels(pixels, what)
        yield pixels


def _batches(images: np.ndarray, what: str, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    _check_shape(images, len(images), what, shape)
    return (images[batch] for batch in batch_slices(len(images), images[0].nbytes))


def _check_shape(images: np.ndarray, count: int, what: str, shape: tuple[int, int, int]) -> None:
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} has type {images.dtype}; it takes images, (images, labels) or a split.")
    if images.ndim != 4 or not count or not matches_shape(images.shape[1:], shape):
        actual = (count, *images.shape[1:])
        raise InputError(f"{what} has shape {actual}; the model takes (count, {', '.join(map(str, shape))}).")


def _check_pixels(images: np.ndarray, what: str) -> None:
    if not np.isfinite(images).all() or images.min() < 0 or images.max() > 255:
        raise InputError(f"{what} has values from {images.min()} to {images.max()}; pixels go from 0 to 255.")


def _checked_labels(labels: Any, count: int, classes: int, what: str, task: str) -> np.ndarray:
    labels = np.asarray(labels[np.arange(count)] if hasattr(labels, "files") else labels)  # masks may lie in files
    if task == "classification" and labels.shape == (count, 1):  # as keras.datasets has them
        labels = labels[:, 0]
    if task == "regression" and classes == 1 and labels.shape == (count,):
        labels = labels[:, None]
    # Maps need not be as large as the images; that they are as large as the answers is seen when there are any.
    expected = {"classification": (), "segmentation": (None, None)}.get(task, (classes,))
    if not matches_shape(labels.shape, (count, *expected)):
        each = {"classification": "one", "segmentation": "a map"}.get(task, f"{classes}")
        raise InputError(f"{what} has labels of shape {labels.shape} for {count} images; give {each} for each.")
    allowed, right = _values(labels, classes, task)
    if not right:
        values = f"from {labels.min()} to {labels.max()}" if labels.dtype.kind in "uif" else f"of type {labels.dtype}"
        raise InputError(f"{what} has labels {values}; the model's are {allowed}.")
    return labels


def _values(labels: np.ndarray, classes: int, task: str) -> tuple[str, bool]:
    """What labels may be, and whether they are."""
    if task == "regression":
        return "finite numbers", labels.dtype.kind in "uif" and bool(np.isfinite(labels).all())
    if task == "multi_label":
        return "0 or 1", labels.dtype.kind in "buif" and bool(np.isin(labels, (0, 1)).all())
    whole = labels.dtype.kind in "ui" and bool(((labels >= 0) & (labels < classes)).all())
    return f"integers from 0 to {classes - 1}", whole
