"""Images for the calibration and validation of an export."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..tasks.registry import DEFAULT_TASK, get_task, task_of_labels
from ..tasks.task import Task
from .artifact.metadata import ImagesRecord, Metadata
from .artifact.tensors import RAW, matches_shape, to_range
from .large_arrays import Rows, batch_slices, select_rows, store_rows

CALIBRATION_IMAGES = 200
SEED = 0
"""Seed for subsampling."""
LABEL_BYTES = 8
"""Size of a value of labels, at most."""
MIN_CORRELATION = 0.1
"""Smallest correlation of neighboring pixels in real images."""


@dataclass(frozen=True)
class Samples:
    """Images with raw pixels 0..255, and labels if there are any."""

    images: Rows
    """`(count, height, width, channels)`; may be memory-mapped."""
    labels: Rows | None
    """Targets in the form of the task, such as class indices `(count,)`; may be memory-mapped."""
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
        shape: tuple[int | None, int | None, int],
        classes: int | None,
        most: int | None = None,
        task: str = DEFAULT_TASK,
        limits: tuple[float, float] = RAW,
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
            limits: Lowest and highest value that the model expects; whole numbers are raw pixels and scaled to it.

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
        ignore = getattr(source, "ignore", None)
        labels = None if labels is None else _store_labels(labels, count, what, get_task(task), classes, ignore)
        rows = _subsample(count, labels if get_task(task).one_class_per_image else None, most)
        if is_split:
            images = store_rows(_read_batches(images, rows, what, shape, limits, getattr(source, "pixel_range", RAW)))
        else:
            images = images if len(rows) == count else images[rows]
            for batch in _batches(images, what, shape):
                check_pixels(batch, what, limits)
            if images.dtype.kind in "ui" and limits != RAW:
                batches = batch_slices(len(images), 4 * images[0].size)
                images = store_rows(to_range(images[batch], limits) for batch in batches)
        labels = None if labels is None else labels[rows]
        return cls(images, labels, getattr(source, "source", None) or "array", SEED if len(rows) < count else None)

    def select(self, rows: np.ndarray) -> "Samples":
        """The images at these indices, and their labels."""
        labels = None if self.labels is None else select_rows(self.labels, rows)
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
    outputs = len(metadata.labels) if get_task(metadata.task).has_targets else None
    samples = Samples.from_source(
        source, "evaluation", metadata.image_shape, outputs, task=metadata.task, limits=metadata.pixel_range
    )
    if not samples.vary():
        raise InputError("evaluation has only one distinct image; outputs that do not vary prove nothing.")
    return samples


def calibration_samples(source: Any, evaluation: Samples | None, metadata: Metadata) -> Samples:
    """Subsample and validate calibration images for a model; raises InputError where they cannot be used."""
    classes = len(metadata.labels) if get_task(metadata.task).one_class_per_image else None
    samples = Samples.from_source(
        source,
        "calibration",
        metadata.image_shape,
        classes,
        most=CALIBRATION_IMAGES,
        task=metadata.task,
        limits=metadata.pixel_range,
    )
    samples.check_not_noise("calibration")
    if evaluation is not None:
        samples = samples.without(evaluation)
        if not len(samples):
            raise InputError("all calibration images are evaluation images too; calibrate with training images.")
    return samples


def _image_hash(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.float32(image).tobytes()).digest()


def _subsample(count: int, labels: np.ndarray | None, most: int | None) -> np.ndarray:
    """Indices of at most `most` of `count` images, balanced over the classes in `labels` where they are known.

    Images are taken in rounds, one of each class. Where the last round is too large, as with more classes than images,
    its classes are spread evenly: neighbors are often alike, such as breeds of dogs.
    """
    if most is None or most >= count:
        return np.arange(count)
    classes = np.zeros(count, int) if labels is None else np.asarray(labels)
    random, rank_in_class = np.random.default_rng(SEED), np.zeros(count, int)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        rank_in_class[members] = random.permutation(len(members))
    last = np.sort(rank_in_class)[most - 1]
    whole, part = np.flatnonzero(rank_in_class < last), np.flatnonzero(rank_in_class == last)
    part, wanted = part[np.argsort(classes[part], kind="stable")], most - len(whole)
    return np.sort(np.concatenate([whole, part[np.arange(wanted) * len(part) // wanted]]))


def _as_array(images: Any, what: str) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(images))
    except ValueError as error:  # a list of images of several sizes
        raise InputError(f"{what} has images of several shapes; give them one size.") from error


def _read_batches(
    images: Any,
    rows: np.ndarray,
    what: str,
    shape: tuple[int | None, ...],
    limits: tuple[float, float],
    stored: tuple[float, float],
) -> Iterator[np.ndarray]:
    """Read and validate the images of a split at `rows`, whose pixels are stored in a range of their own."""
    for batch in batch_slices(len(rows), 4 * prod(images.shape)):
        pixels = images.take(rows[batch])
        _check_shape(pixels, len(rows), what, shape)
        if stored != RAW:
            share = (pixels.astype("float32") - stored[0]) / (stored[1] - stored[0])
            pixels = share * (limits[1] - limits[0]) + limits[0]
        check_pixels(pixels, what, limits)
        yield to_range(pixels, limits)


def _batches(images: np.ndarray, what: str, shape: tuple[int | None, ...]) -> Iterator[np.ndarray]:
    _check_shape(images, len(images), what, shape)
    return (images[batch] for batch in batch_slices(len(images), images[0].nbytes))


def _check_shape(images: np.ndarray, count: int, what: str, shape: tuple[int | None, ...]) -> None:
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} has type {images.dtype}; it takes images, (images, labels) or a split.")
    if images.ndim != 4 or not count or not matches_shape(images.shape[1:], shape):
        actual = (count, *images.shape[1:])
        raise InputError(f"{what} has shape {actual}; the model takes (count, {', '.join(map(str, shape))}).")


def check_pixels(images: np.ndarray, what: str, limits: tuple[float, float]) -> None:
    """Raise InputError where images are neither raw pixels in whole numbers nor floats in the range of the model.

    Args:
        images: Any number of images.
        what: What messages call them, in the plural or as an argument.
        limits: Lowest and highest value that the model expects.
    """
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} has type {images.dtype}; it takes images, (images, labels) or a split.")
    lowest, highest = float(images.min()), float(images.max())
    low, high = limits if images.dtype.kind == "f" else RAW
    tolerance = (high - low) * 1e-3 if images.dtype.kind == "f" and limits != RAW else 0.0
    if not np.isfinite(images).all() or lowest < low - tolerance or highest > high + tolerance:
        remedy = "" if limits != RAW else "; state the range that the model expects with pixels, if it is another"
        found = f"{what} has values from {images.min()} to {images.max()}"
        raise InputError(f"{found}; pixels go from {low:g} to {high:g}{remedy}.")
    if limits == RAW and images.dtype.kind == "f" and _is_unit(images):
        raise InputError(
            f"{what} has fractions from {lowest:g} to {highest:g}, but the model takes pixels from 0 to 255; multiply "
            "by 255, or state pixels='0..1' for a model that expects such values."
        )


def likely_task(source: Any) -> str | None:
    """Return the task that labels in arrays show, for an output that could have several; None without labels.

    Args:
        source: As in `Samples.from_source`.
    """
    if not isinstance(source, tuple) or len(source) != 2:
        return None
    return task_of_labels(np.asarray(source[1]))


def range_of(source: Any) -> tuple[float, float] | None:
    """Return the range that float images show: 0..1, or -1..1; None for others.

    Args:
        source: As in `Samples.from_source`.
    """
    images = source[0] if isinstance(source, tuple) and len(source) == 2 else source
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f" or not images.size:
        return None
    if images.min() < 0 and images.min() >= -1 and images.max() <= 1:
        return (-1.0, 1.0)
    return (0.0, 1.0) if _is_unit(images) else None


def _is_unit(images: np.ndarray) -> bool:
    """Whether values are fractions from 0 to 1: raw pixels that are this dark would be whole numbers."""
    return bool(images.min() >= 0 and images.max() <= 1 and (images != np.round(images)).any())


def _store_labels(
    labels: Any, count: int, what: str, task: Task, num_outputs: int | None, ignore: int | None
) -> np.ndarray:
    """Validate labels in batches: masks may be in files, and need not fit in memory. Those to ignore are marked."""
    labels = labels if hasattr(labels, "shape") else np.asarray(labels)
    if len(labels.shape) == 0 or len(labels) != count:
        raise InputError(f"{what} has {count} images, but labels of shape {labels.shape}; give one for each image.")
    batches = batch_slices(count, LABEL_BYTES * prod(labels.shape[1:]))
    return store_rows(
        task.mark_void(
            task.check_targets(
                labels[np.arange(batch.start, batch.stop)],
                f"the labels of {what}",
                num_outputs=num_outputs,
                ignore=ignore,
            ),
            ignore,
        )
        for batch in batches
    )
