"""Files of images and targets, wherever their bytes are stored."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from ...zoo.image_files import read_bytes


class Files(Protocol):
    """Sequence of encoded images or targets, read one by one and never all in memory."""

    def __len__(self) -> int:
        """Return the number of files."""

    def name(self, row: int) -> str:
        """Return the name of a file in messages."""

    def read(self, row: int) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: It cannot be read.
        """

    def at(self, rows: np.ndarray) -> Self:
        """Return the files of these rows."""


class Paths:
    """Separate files, by their paths."""

    def __init__(self, paths: Iterable[str | Path]):
        # An array of strings takes a tenth of the memory of as many Path objects.
        self._paths = np.array([str(path) for path in paths], np.dtypes.StringDType())

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._paths)

    def name(self, row: int) -> str:
        """Return the path of a file."""
        return self._paths[row]

    def read(self, row: int) -> bytes:
        """Return the content of a file."""
        return read_bytes(self._paths[row])

    def at(self, rows: np.ndarray) -> "Paths":
        """Return the files of these rows."""
        return Paths(self._paths[rows])
