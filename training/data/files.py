"""Files of images and masks, wherever their bytes lie."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from ...zoo.image_files import read_bytes


class Files(Protocol):
    """A sequence of encoded images or masks, read one by one and never all in memory."""

    def __len__(self) -> int:
        """Number of files."""

    def name(self, row: int) -> str:
        """What messages call a file."""

    def read(self, row: int) -> bytes:
        """The content of a file.

        Raises:
            InputError: It cannot be read.
        """

    def at(self, rows: np.ndarray) -> Self:
        """The files of these rows."""


class Paths:
    """Files of their own, by their paths."""

    def __init__(self, paths: Iterable[str | Path]):
        # An array of strings takes a tenth of the memory of as many Path objects.
        self._paths = np.array([str(path) for path in paths], np.dtypes.StringDType())

    def __len__(self) -> int:
        """Number of files."""
        return len(self._paths)

    def name(self, row: int) -> str:
        """The path."""
        return self._paths[row]

    def read(self, row: int) -> bytes:
        """The content of a file."""
        return read_bytes(self._paths[row])

    def at(self, rows: np.ndarray) -> "Paths":
        """The files of these rows."""
        return Paths(self._paths[rows])
