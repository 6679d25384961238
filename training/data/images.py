"""Images and their targets, split into train, validation and test."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ...core.outputs import by_name, map_outputs
from ...tasks.registry import task_of_targets
from ...zoo.image_files import decode_image
from .file_targets import FileTargets
from .files import Files
from .splitting import SPLITS

Shape = tuple[int, int, int]
"""Height, width, channels."""
Targets = np.ndarray | FileTargets
"""Targets of one output, one row for each image, in the form that its task validates: class indices, 0 or 1, numbers or
masks; `FileTargets` reads files when they are needed."""


class Images(Protocol):
    """Sequence of images of one size that need not be in memory."""

    shape: Shape

    def __len__(self) -> int:
        """Return the number of images."""

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`, uint8 of shape `(len(indices), height, width, channels)`."""


class ArrayImages:
    """Images in memory, uint8 of shape `(count, height, width, channels)`."""

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels
        self.shape: Shape = pixels.shape[1:]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""
        return self._pixels[indices]


class FileImages:
    """Images in files, decoded when they are taken."""

    def __init__(self, files: Files, shape: Shape):
        self.files = files
        self.shape = shape

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`, decoded in parallel."""
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(self._decode, indices)))

    def _decode(self, row: int) -> np.ndarray:
        height, width, channels = self.shape
        return decode_image(self.files.read(row), self.files.name(row), height=height, width=width, channels=channels)


@dataclass(frozen=True)
class ImageSplit:
    """One part of a dataset: images and their targets."""

    images: Images
    labels: Targets | dict[str, Targets]
    """Targets of the only output, or a dict of them by name."""
    source: str | None = None
    """Name of the dataset or of its folder, and of the split; None for a split of no dataset."""
    task: str | dict[str, str] | None = None
    """Task of each output; None for a split of no dataset."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def tasks(self) -> str | dict[str, str]:
        """Task of each output, recognized by the form of the targets where it is not stated."""
        return map_outputs(task_of_targets, self.labels) if self.task is None else self.task

    def drawn(self, most: int, seed: int = 0) -> "ImageSplit":
        """Return a random sample of at most `most` images, in memory: files are often sorted by class."""
        rows = np.random.default_rng(seed).permutation(len(self))[:most]
        labels = map_outputs(lambda targets: targets[rows], self.labels)
        return replace(self, images=ArrayImages(self.images.take(rows)), labels=labels)

    def arrays(self) -> tuple[np.ndarray, np.ndarray | dict[str, np.ndarray]]:
        """Return all images (uint8, `(count, height, width, channels)`) and their targets, in memory."""
        everything = np.arange(len(self))
        return self.images.take(everything), map_outputs(lambda targets: targets[everything], self.labels)


@dataclass(frozen=True)
class ImageData:
    """Labeled image dataset. The three splits never share an image.

    `zoo.create_model(name, head=data.task, labels=data.labels, input_shape=data.image_shape)` makes a model for it.
    """

    source: str
    labels: tuple[str, ...] | dict[str, tuple[str, ...]]
    """Names of the classes in the order of their indices, or of labels or values; a dict for several outputs."""
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    skipped: tuple[str, ...] = ()
    """Files that could not be used, where the caller asked to skip them."""
    task: str | dict[str, str] = "classification"
    """Name of the task, or a dict of them for several outputs."""
    interpretation: str = ""
    """How a folder was read: one sentence; empty for sources whose form states what they are."""

    def __post_init__(self) -> None:
        """Sets the source and the task of each split."""
        for name in SPLITS:  # the folder's own name alone: its path is private
            source = f"{Path(self.source).resolve().name}, {name}"
            object.__setattr__(self, name, replace(getattr(self, name), source=source, task=self.task))

    def fingerprint(self) -> str:
        """Return a hash by which a resumed run recognizes its data: shapes, names, the first images of each split."""
        digest = hashlib.sha256(repr((self.image_shape, self.task, self.labels)).encode())
        for split in (self.train, self.validation, self.test):
            first = np.arange(min(16, len(split)))
            for targets in by_name(split.labels).values():
                digest.update(targets.tobytes() if isinstance(targets, np.ndarray) else targets[first].tobytes())
            digest.update(split.images.take(first).tobytes())
        return digest.hexdigest()

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return self.train.images.shape
