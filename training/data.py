"""Images with class labels, split into train, validation and test."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..zoo.pixels import read_image

Shape = tuple[int, int, int]
"""Height, width, channels."""


class Images(Protocol):
    """A sequence of equally sized images that need not be in memory."""

    shape: Shape

    def __len__(self) -> int:
        """Number of images."""

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`, uint8 of shape `(len(indices), height, width, channels)`."""


class ArrayImages:
    """Images in memory, uint8 of shape `(count, height, width, channels)`."""

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels
        self.shape: Shape = pixels.shape[1:]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`."""
        return self._pixels[indices]


class FileImages:
    """Images in files, decoded when they are taken."""

    def __init__(self, paths: Sequence[Path], shape: Shape):
        self._paths = list(paths)
        self.shape = shape

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`, decoded side by side."""
        height, width, channels = self.shape
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(
                lambda i: read_image(self._paths[i], height=height, width=width, channels=channels), indices
            )
            return np.stack(list(decoded))


@dataclass(frozen=True)
class ImageSplit:
    """One of the parts of a dataset: images and the class index of each."""

    images: Images
    labels: np.ndarray
    """int32 of shape `(count,)`."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All images (uint8, `(count, height, width, channels)`) and labels (int32, `(count,)`) in memory."""
        return self.images.take(np.arange(len(self))), self.labels


@dataclass(frozen=True)
class ImageData:
    """A labelled image dataset. The three splits never share an image."""

    source: str
    labels: tuple[str, ...]
    """Names of the classes, in the order of the indices."""
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    skipped: tuple[str, ...] = ()
    """Files that could not be read, where the caller asked to skip them."""

    def fingerprint(self) -> str:
        """A hash by which a resumed run knows its data again: shapes, names, and which images are in which split."""
        digest = hashlib.sha256(repr((self.image_shape, self.labels)).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(split.labels.tobytes() + split.images.take(np.arange(min(16, len(split)))).tobytes())
        return digest.hexdigest()

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return self.train.images.shape


def split_stratified(
    labels: np.ndarray, contents: Sequence[bytes], *, validation: float, test: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of train, validation and test: disjoint, together all, each with these shares of every class.

    Where an image goes follows from the rank of its content's hash in its class. So copies of an image stay together,
    and a photo that is added or taken away moves at most one other across each border, from train to validation or from
    there to test: what was trained on does not turn up in the test split of the next command.

    Args:
        labels: Class index of each image.
        contents: What tells each image from another (its bytes, or a hash of them); every class has 3 different ones.
        validation: Share of the whole, 0..1.
        test: Share of the whole, 0..1.
        seed: Of the choice.
    """
    ranks = np.array([hashlib.sha256(b"%d " % seed + content).hexdigest() for content in contents])
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        different = np.unique(ranks[members])  # sorted
        in_test, in_validation = (max(1, round(share * len(different))) for share in (test, validation))
        ends = [in_test, in_test + in_validation]
        for part, chosen in zip(reversed(parts), np.split(different, ends), strict=True):
            part.append(members[np.isin(ranks[members], chosen)])
    train_part, validation_part, test_part = (np.sort(np.concatenate(part)) for part in parts)
    return train_part, validation_part, test_part
