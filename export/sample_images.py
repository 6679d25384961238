"""Real images that an export is calibrated with and proven on."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import InputError
from .artifact.metadata import ImagesRecord
from .artifact.tensors import fits

SEED = 0
"""Of the draw, where there are more images than are taken."""
LEAST_CORRELATION = 0.1
"""Of neighbouring pixels, in images."""


@dataclass(frozen=True)
class Samples:
    """Raw pixels 0..255 `(count, height, width, channels)`, and what is right for each if known."""

    images: np.ndarray
    labels: np.ndarray | None
    """Class indices `(count,)`, or by task: 0 or 1 `(count, labels)`, numbers `(count, outputs)`, class indices
    `(count, height, width)`."""
    source: str = "array"
    """Where they came from."""
    seed: int | None = None
    """Of the draw; None where all were taken."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @classmethod
    def of(
        cls,
        source: Any,
        what: str,
        shape: tuple[int, int, int],
        classes: int | None,
        most: int | None = None,
        task: str = "classification",
    ) -> "Samples":
        """Takes images, a pair (images, labels), or a split of a dataset, checked.

        Args:
            source: One of these. A split has `labels` and `images`, which has `take(indices)`.
            what: What to call it in errors.
            shape: Height, width and channels that the images must have.
            classes: How many classes, labels or numbers there are; None leaves labels aside.
            most: Take this many at most, drawn by `SEED`, evenly from every class where they are known.
            task: What the labels must be.

        Raises:
            InputError: It is something else, is empty, or has images or labels that cannot be.
        """
        is_split = hasattr(source, "images") and hasattr(source, "labels")
        if is_split:
            images, labels = source.images, source.labels
        else:
            images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
            images = _as_array(images, what)
        count, labels = len(images), None if classes is None else labels
        labels = None if labels is None else _checked_labels(labels, count, classes, what, task)
        rows = _drawn(count, labels, most)
        images = images.take(rows) if is_split else images[rows]
        _check_pixels(images, what, shape)
        origin = getattr(source, "source", None) or "array"
        return cls(images, None if labels is None else labels[rows], origin, SEED if len(rows) < count else None)

    def without(self, other: "Samples") -> "Samples":
        """These images but those that are also in `other`."""
        taken = {_key(image) for image in other.images}
        keep = np.array([_key(image) not in taken for image in self.images], bool)
        return replace(self, images=self.images[keep], labels=None if self.labels is None else self.labels[keep])

    def check_no_noise(self, what: str) -> None:
        """Raises InputError where neighbouring pixels have nothing to do with one another.

        In photographs and drawings they are alike, and that is what layers answer to: the ranges that noise shows are
        not those of any image. Measured is the correlation of pixels with those below and to the right, over all
        images, each about its own mean: digits, photographs and textures come to 0.3 and more, noise to 0.
        """
        pixels = np.float32(self.images)
        pixels = pixels - pixels.mean(axis=(1, 2), keepdims=True)
        variance = np.mean(pixels**2)
        neighbours = [np.mean(pixels[:, 1:] * pixels[:, :-1]), np.mean(pixels[:, :, 1:] * pixels[:, :, :-1])]
        if variance > 0 and max(map(abs, neighbours)) < LEAST_CORRELATION * variance:
            raise InputError(f"{what} is noise: its pixels have nothing to do with their neighbours; give real images.")

    @property
    def sha256(self) -> str:
        """Of the pixels as float32."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(np.float32(image).tobytes())
        return digest.hexdigest()

    def record(self, **figures: Any) -> ImagesRecord:
        """What a manifest says of them; `figures` are further fields."""
        return ImagesRecord(source=self.source, count=len(self), seed=self.seed, sha256=self.sha256, **figures)


def _key(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.float32(image).tobytes()).digest()


def _drawn(count: int, labels: np.ndarray | None, most: int | None) -> np.ndarray:
    """Indices of at most `most` of `count` images, evenly from every class where `labels` are classes."""
    classes = np.zeros(count, int) if labels is None or labels.ndim > 1 else labels
    random, nth_of_its_class = np.random.default_rng(SEED), np.zeros(count, int)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        nth_of_its_class[members] = random.permutation(len(members))
    return np.sort(np.argsort(nth_of_its_class, kind="stable")[:most])


def _as_array(images: Any, what: str) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(images))
    except ValueError as error:  # of a list of images of several sizes
        raise InputError(f"{what} has images of several shapes; give them one size.") from error


def _check_pixels(images: np.ndarray, what: str, shape: tuple[int, int, int]) -> None:
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} is of {images.dtype}; it takes images, (images, labels) or a split.")
    if images.ndim != 4 or not len(images) or not fits(images.shape[1:], shape):
        raise InputError(f"{what} has shape {images.shape}; the model takes (count, {', '.join(map(str, shape))}).")
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
    if not fits(labels.shape, (count, *expected)):
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
