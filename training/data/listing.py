"""What a source names: images, what is to be answered to each, and the split that each is in."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from ...core.errors import InputError
from ...core.outputs import map_outputs
from .files import Files
from .images import Targets
from .masks import FileMasks
from .splitting import SPLITS


class Named(Protocol):
    """Images by row, with a name for messages: `Files`, or arrays."""

    def __len__(self) -> int:
        """Number of images."""

    def name(self, row: int) -> str:
        """What messages call an image."""

    def at(self, rows: np.ndarray) -> Self:
        """The images of these rows."""


@dataclass(frozen=True)
class Target:
    """What one output is to answer to the images of a listing."""

    task: str
    labels: tuple[str, ...] | None
    """Names of classes or numbers; None for masks whose classes nobody named."""
    rows: np.ndarray | Files
    """One an image: as in `data.Targets`, or the files of masks."""

    def at(self, rows: np.ndarray) -> "Target":
        """The target of these rows."""
        return replace(self, rows=self.rows[rows] if isinstance(self.rows, np.ndarray) else self.rows.at(rows))

    def as_targets(self, height: int, width: int) -> Targets:
        """As training takes them, masks in files brought to that size."""
        return self.rows if isinstance(self.rows, np.ndarray) else FileMasks(self.rows, height, width)


@dataclass(frozen=True)
class Lost:
    """An image that cannot be used, and why."""

    name: str
    split: str
    error: InputError


@dataclass(frozen=True)
class Listing:
    """What a folder, a table, shards or arrays hold."""

    source: str
    images: Named
    targets: Target | dict[str, Target]
    splits: np.ndarray
    """Of each image: `"train"`, `"validation"` or `"test"`; where one of the last two has none, train gives some."""
    lost: tuple[Lost, ...] = ()
    """Images that could not even be listed."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def missing(self) -> list[str]:
        """The splits that the source does not have."""
        return [name for name in SPLITS if name not in {*self.splits, *(image.split for image in self.lost)}]

    def at(self, rows: np.ndarray) -> "Listing":
        """What it names in these rows."""
        targets = map_outputs(lambda target: target.at(rows), self.targets)
        return replace(self, images=self.images.at(rows), targets=targets, splits=self.splits[rows])
