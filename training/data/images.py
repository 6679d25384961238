"""Images and what is to be answered to each, split into train, validation and test."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ...core.outputs import by_name, map_outputs
from ...zoo.image_files import decode_image
from .files import Files
from .masks import FileMasks
from .splitting import SPLITS

Shape = tuple[int, int, int]
"""Height, width, channels."""
Targets = np.ndarray | FileMasks
"""What one output is to answer, a row an image. By task:

- classification: int32 `(count,)`, the index of the class;
- multi_label: float32 `(count, labels)`, 1 where the label is there, else 0;
- regression: float32 `(count, outputs)`;
- segmentation: int32 `(count, height, width)`, the index of each place's class; `FileMasks` reads them when asked.
"""


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

    def __init__(self, files: Files, shape: Shape):
        self.files = files
        self.shape = shape

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`, decoded side by side."""
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(self._decode, indices)))

    def _decode(self, row: int) -> np.ndarray:
        height, width, channels = self.shape
        return decode_image(self.files.read(row), self.files.name(row), height=height, width=width, channels=channels)


@dataclass(frozen=True)
class ImageSplit:
    """One of the parts of a dataset: images, and what is to be answered to each."""

    images: Images
    labels: Targets | dict[str, Targets]
    """The targets of the one output, or a dict of them by name."""
    source: str | None = None
    """The name of the dataset or of its folder, and of the split; None of a split of no dataset."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def drawn(self, most: int, seed: int = 0) -> "ImageSplit":
        """At most so many of them, drawn by `seed` and in memory: files often lie in the order of their classes."""
        rows = np.random.default_rng(seed).permutation(len(self))[:most]
        labels = map_outputs(lambda targets: targets[rows], self.labels)
        return ImageSplit(ArrayImages(self.images.take(rows)), labels, self.source)

    def arrays(self) -> tuple[np.ndarray, np.ndarray | dict[str, np.ndarray]]:
        """All images (uint8, `(count, height, width, channels)`) and their targets, in memory."""
        everything = np.arange(len(self))
        return self.images.take(everything), map_outputs(lambda targets: targets[everything], self.labels)


@dataclass(frozen=True)
class ImageData:
    """A labelled image dataset. The three splits never share an image.

    `zoo.create_model(name, head=data.task, labels=data.labels, input_shape=data.image_shape)` makes a model for it.
    """

    source: str
    labels: tuple[str, ...] | dict[str, tuple[str, ...]]
    """Names of the classes in the order of the indices, or of a regression's numbers; a dict for several outputs."""
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    skipped: tuple[str, ...] = ()
    """Files that could not be used, where the caller asked to skip them."""
    task: str | dict[str, str] = "classification"
    """What is to be answered: the name of a head, or a dict of them for several outputs."""

    def __post_init__(self) -> None:
        """Tells the splits where they are from, which what is made with them says in turn."""
        for name in SPLITS:  # the folder's own name alone: where it lies is nobody's business
            split = replace(getattr(self, name), source=f"{Path(self.source).resolve().name}, {name}")
            object.__setattr__(self, name, split)

    def fingerprint(self) -> str:
        """A hash by which a resumed run knows its data again: shapes, names, and the first images of each split."""
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
