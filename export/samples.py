"""Real images that an export is calibrated with and proven on."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..zoo.errors import InputError


@dataclass(frozen=True)
class Samples:
    """Images, float32 pixels 0..255 `(count, height, width, channels)`, and the class index of each if known."""

    images: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @classmethod
    def of(cls, source: Any, what: str, shape: tuple[int, int, int]) -> "Samples":
        """Takes images, a pair (images, labels), or a split of a dataset (anything with `arrays()`).

        Raises:
            InputError: It is none of these, is empty, or has images of another shape than `shape`, or no pixels.
        """
        if hasattr(source, "arrays"):
            source = source.arrays()
        images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
        try:
            images = np.asarray(images, dtype="float32")
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{what} is {type(source).__name__}; it takes images, (images, labels) or a split."
            ) from error
        if images.ndim != 4 or not len(images) or images.shape[1:] != shape:
            raise InputError(f"{what} has shape {images.shape}; the model takes (count, {', '.join(map(str, shape))}).")
        if not np.isfinite(images).all() or images.min() < 0 or images.max() > 255:
            raise InputError(f"{what} has values from {images.min()} to {images.max()}; pixels go from 0 to 255.")
        if labels is not None and len(labels) != len(images):
            raise InputError(f"{what} has {len(labels)} labels for {len(images)} images.")
        return cls(images, None if labels is None else np.asarray(labels))

    def without(self, other: "Samples") -> "Samples":
        """These images but those that are also in `other`."""
        taken = {image.tobytes() for image in other.images}
        keep = np.array([image.tobytes() not in taken for image in self.images])
        return Samples(self.images[keep], None if self.labels is None else self.labels[keep])

    def spread(self, count: int) -> "Samples":
        """At most `count` of them, taken evenly from every class where the labels are known."""
        if self.labels is None:
            chosen = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        else:
            nth_of_its_class = np.zeros(len(self), int)
            for label in np.unique(self.labels):
                members = np.flatnonzero(self.labels == label)
                nth_of_its_class[members] = np.arange(len(members))
            chosen = np.sort(np.argsort(nth_of_its_class, kind="stable")[:count])
        return Samples(self.images[chosen], None if self.labels is None else self.labels[chosen])

    @property
    def sha256(self) -> str:
        """Of the pixels."""
        return hashlib.sha256(self.images.tobytes()).hexdigest()
