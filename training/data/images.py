"""Images, perhaps with further inputs, and their targets, split into train, validation and test."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from ...core.outputs import by_name, map_outputs
from ...core.short_repr import ShortRepr
from ...tasks.registry import task_of_targets
from ...zoo.image_files import Dtype, decode_image
from ...zoo.pixel_range import RAW, Range
from .file_targets import FileTargets
from .files import Files
from .splitting import SPLITS

Shape = tuple[int, ...]
"""Height, width, channels; of signals length and channels, of volumes depth, height, width, channels."""
Targets = np.ndarray | FileTargets
"""Targets of one output, one row for each image, in the form that its task validates: class indices, 0 or 1, numbers or
masks; `FileTargets` reads files when they are needed."""


class Images(Protocol):
    """Sequence of images of one size that need not be in memory."""

    shape: Shape
    dtype: np.dtype
    """uint8, uint16 or float32."""

    def __len__(self) -> int:
        """Return the number of images."""

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`, `(len(indices), height, width, channels)`."""


def dtype_of(images: "Images | FurtherInput") -> np.dtype:
    """Return the dtype of images; uint8 for those of a class that does not state it."""
    return np.dtype(getattr(images, "dtype", "uint8"))


class ArrayImages:
    """Images, signals or volumes in memory, of shape `(count, height, width, channels)` for images."""

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels
        self.dtype = pixels.dtype
        self.shape: Shape = pixels.shape[1:]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""
        return self._pixels[indices]


class FileImages:
    """Images in files, decoded when they are taken."""

    def __init__(self, files: Files, shape: Shape, dtype: Dtype = "uint8"):
        self.files = files
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`, decoded in parallel."""
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(self._decode, indices)))

    def _decode(self, row: int) -> np.ndarray:
        height, width, channels = self.shape
        encoded, name, dtype = self.files.read(row), self.files.name(row), cast(Dtype, str(self.dtype))
        return decode_image(encoded, name, height=height, width=width, channels=channels, dtype=dtype)


class FurtherInput:
    """Values of another input of a model than the image, in memory, one row for each image.

    Args:
        rows: Second images `(count, height, width, channels)`; or vectors, indices or other arrays, `(count, ...)`.
        pixel_range: Lowest and highest value that the pixels of images may have; None for other values.
        chosen: Indices of the rows that it has, in their order; all if None.
    """

    def __init__(self, rows: np.ndarray, pixel_range: Range | None = None, chosen: np.ndarray | None = None):
        self._rows = rows
        self._chosen = np.arange(len(rows)) if chosen is None else chosen
        self.pixel_range = pixel_range
        self.dtype = rows.dtype
        self.shape: tuple[int, ...] = rows.shape[1:]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._chosen)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the rows at `indices`."""
        return self._rows[self._chosen[indices]]

    def at(self, indices: np.ndarray) -> "FurtherInput":
        """Return the input with the rows at `indices` alone; they are not copied."""
        return FurtherInput(self._rows, self.pixel_range, self._chosen[indices])


@dataclass(frozen=True)
class ImageSplit(ShortRepr):
    """One part of a dataset: images, perhaps with further inputs, and their targets."""

    images: Images
    labels: Targets | dict[str, Targets]
    """Targets of the only output, or a dict of them by name."""
    source: str | None = None
    """Name of the dataset or of its folder, and of the split; None for a split of no dataset."""
    task: str | dict[str, str] | None = None
    """Task of each output; None for a split of no dataset."""
    pixel_range: Range = RAW
    """Lowest and highest value that pixels may have."""
    ignore: int | None = None
    """Label of the pixels of masks that have no class."""
    names: tuple[str, ...] | dict[str, tuple[str, ...]] | None = None
    """Names of the classes, labels or values, a dict for several outputs; None for a split of no dataset."""
    image_name: str = ""
    """Name of the input that takes the images, where there are several inputs."""
    further: dict[str, FurtherInput] = field(default_factory=dict)
    """The other inputs by name."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def dtype(self) -> str:
        """Dtype of the images: `"uint8"`, `"uint16"` or `"float32"`."""
        return str(dtype_of(self.images))

    @property
    def tasks(self) -> str | dict[str, str]:
        """Task of each output, recognized by the form of the targets where it is not stated."""
        return map_outputs(task_of_targets, self.labels) if self.task is None else self.task

    @property
    def inputs(self) -> dict[str, Images | FurtherInput]:
        """All inputs by name, the images first; the name of a single one is empty."""
        return {self.image_name: self.images, **self.further}

    @property
    def pixel_ranges(self) -> dict[str, Range | None]:
        """Range of the pixels of each of `inputs`; None where it is no image."""
        return {self.image_name: self.pixel_range} | {name: each.pixel_range for name, each in self.further.items()}

    def name_of(self, row: int) -> str:
        """Return the file or the number of an image."""
        return str(self.images.files.name(row)) if isinstance(self.images, FileImages) else f"image {row}"

    def at(self, rows: np.ndarray) -> "ImageSplit":
        """Return the split with the images of these rows alone, in memory."""
        labels = map_outputs(lambda targets: targets[rows], self.labels)
        further = {name: each.at(rows) for name, each in self.further.items()}
        return replace(self, images=ArrayImages(self.images.take(rows)), labels=labels, further=further)

    def drawn(self, most: int, seed: int = 0) -> "ImageSplit":
        """Return a random sample of at most `most` images, in memory: files are often sorted by class."""
        return self.at(np.random.default_rng(seed).permutation(len(self))[:most])

    def arrays(self) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray | dict[str, np.ndarray]]:
        """Return all images, `(count, height, width, channels)`, or all inputs by name, and the targets, in memory."""
        everything = np.arange(len(self))
        inputs = {name: each.take(everything) for name, each in self.inputs.items()}
        return inputs.get("", inputs), map_outputs(lambda targets: targets[everything], self.labels)


@dataclass(frozen=True)
class ImageData(ShortRepr):
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
    """How a folder and its pixels were read, in sentences; empty for sources whose form states what they are."""
    pixel_range: Range = RAW
    """Lowest and highest value that pixels may have: raw pixels are 0..255."""
    ignore: int | None = None
    """Label of the pixels of masks that have no class, often 255; they count in no loss and no metric."""
    ordered: bool = False
    """Whether the images are in the order of time: all of validation come after all of train, and the test after both;
    so do those of the folds of a cross-validation."""

    def __post_init__(self) -> None:
        """Sets what each split has in common with the dataset."""
        for name in SPLITS:  # the folder's own name alone: its path is private
            source = f"{Path(self.source).resolve().name}, {name}"
            common = {
                "source": source,
                "task": self.task,
                "pixel_range": self.pixel_range,
                "ignore": self.ignore,
                "names": self.labels,
            }
            object.__setattr__(self, name, replace(getattr(self, name), **common))

    def fingerprint(self) -> str:
        """Return a hash by which a resumed run recognizes its data: shapes, names, the first images of each split."""
        form: tuple[object, ...] = (self.image_shape, self.task, self.labels)
        form += () if self.pixel_range == RAW else (self.pixel_range,)
        form += () if self.ignore is None else (self.ignore,)
        digest = hashlib.sha256(repr(form).encode("utf-8", "backslashreplace"))
        for split in (self.train, self.validation, self.test):
            first = np.arange(min(16, len(split)))
            for targets in by_name(split.labels).values():
                digest.update(targets.tobytes() if isinstance(targets, np.ndarray) else targets[first].tobytes())
            digest.update(split.images.take(first).tobytes())
            for name, each in split.further.items():
                digest.update(name.encode())
                digest.update(each.take(np.arange(len(each)) if each.pixel_range is None else first).tobytes())
        return digest.hexdigest()

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return self.train.images.shape

    @property
    def dtype(self) -> str:
        """Dtype of the images: `"uint8"`, `"uint16"` or `"float32"`."""
        return self.train.dtype
