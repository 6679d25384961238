"""Contents of a data source: images, their targets, and the split of each."""

from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...tasks.registry import get_task
from ...zoo.image_files import Dtype
from ...zoo.pixel_range import Range
from .file_targets import FileTargets
from .files import Files
from .images import Shape, Targets
from .splitting import SPLITS


class NamedImages(Protocol):
    """Images by row, with a name for messages: `Files`, or arrays."""

    def __len__(self) -> int:
        """Return the number of images."""

    def name(self, row: int) -> str:
        """Return the name of an image in messages."""

    def at(self, rows: np.ndarray) -> Self:
        """Return the images of these rows."""


@dataclass(frozen=True)
class Target:
    """Targets of one output for the images of a listing."""

    task: str
    labels: tuple[str, ...] | None
    """Names of classes, labels or values; None for targets in files whose classes have no names yet."""
    rows: np.ndarray | Files
    """One for each image: validated targets, or their files."""
    ignore: int | None = None
    """Label of the pixels of masks that have no class."""
    scale: int = 1
    """Pixels of a target in a file for one of its image, along each axis."""

    @property
    def in_files(self) -> bool:
        """Whether the targets are files."""
        return not isinstance(self.rows, np.ndarray)

    def at(self, rows: np.ndarray) -> "Target":
        """Return the targets of these rows."""
        return replace(self, rows=self.rows.at(rows) if self.in_files else self.rows[rows])

    def decode(self, row: int) -> np.ndarray:
        """Return the target in a file, in the size of its image as it is stored.

        Raises:
            InputError: The file cannot be decoded.
        """
        return get_task(self.task).decode_file(self.rows.read(row), self.rows.name(row))

    def check_file(self, target: np.ndarray, row: int, image_size: tuple[int, int]) -> None:
        """Raises InputError where a decoded target does not belong to its image, of that height and width."""
        classes = None if self.labels is None else len(self.labels)
        get_task(self.task).check_file(target, self.rows.name(row), image_size, classes, self.ignore)

    def as_targets(self, height: int, width: int) -> Targets:
        """Return the targets for training; files are resized as the images are, to that height and width."""
        if isinstance(self.rows, np.ndarray):
            return get_task(self.task).fill_image(self.rows, (height, width))
        height, width, names = self.scale * height, self.scale * width, self.labels or ()
        return FileTargets(self.rows, get_task(self.task), height, width, len(names))


def check_ignore(ignore: int, tasks: str | dict[str, str], source: str) -> None:
    """Raise InputError where no task has masks."""
    if all(get_task(task).void is None for task in by_name(tasks).values()):
        raise InputError(f"ignore is {ignore}, but {source} has no masks; leave it out.")


@dataclass(frozen=True)
class Lost:
    """An image that cannot be used, and why."""

    name: str
    split: str
    error: InputError


@dataclass(frozen=True)
class Listing:
    """Contents of a folder, a table, shards or arrays."""

    source: str
    images: NamedImages
    targets: Target | dict[str, Target]
    splits: np.ndarray
    """Split of each image, `"train"`, `"validation"` or `"test"`; a missing one of the last two is taken from train."""
    lost: tuple[Lost, ...] = ()
    """Images that could not even be listed."""
    interpretation: str = ""
    """How the source was read, where its form does not state it: one sentence."""
    empty: dict[str, str] = field(default_factory=dict)
    """What is wrong with class folders that have no images, by path."""
    dtype: Dtype | None = None
    """Dtype of the pixels that the source states."""
    pixel_range: Range | None = None
    """Range of pixels of this dtype that the source states."""
    image_shape: Shape | None = None
    """Height, width and channels of every image, where the source states them."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def missing(self) -> list[str]:
        """Splits that the source does not have."""
        return [name for name in SPLITS if name not in {*self.splits, *(image.split for image in self.lost)}]

    @property
    def ignore(self) -> int | None:
        """Label of the pixels of masks that have no class."""
        return next((target.ignore for target in by_name(self.targets).values() if target.ignore is not None), None)

    def with_ignore(self, ignore: int | None) -> "Listing":
        """Return the listing with that label for pixels without a class in its masks; None changes nothing.

        Raises:
            InputError: It has no masks.
        """
        if ignore is None:
            return self
        check_ignore(ignore, map_outputs(lambda target: target.task, self.targets), self.source)

        def change(target: Target) -> Target:
            return target if get_task(target.task).void is None else replace(target, ignore=ignore)

        return replace(self, targets=map_outputs(change, self.targets))

    def at(self, rows: np.ndarray) -> "Listing":
        """Return the contents of these rows."""
        targets = map_outputs(lambda target: target.at(rows), self.targets)
        return replace(self, images=self.images.at(rows), targets=targets, splits=self.splits[rows])
