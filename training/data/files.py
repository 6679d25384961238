"""Files of images and targets, wherever their bytes are stored."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol, Self

import numpy as np

from ...core.input_files import open_file
from ...core.limits import IMAGE_BYTES
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

    def open(self, row: int) -> IO[bytes]:
        """Open a file, of which only the beginning may be read; errors as of `read`."""

    def at(self, rows: np.ndarray) -> Self:
        """Return the files of these rows."""


class Paths:
    """Separate files, by their paths."""

    def __init__(self, paths: Iterable[str | Path]):
        # One buffer takes a tenth of the memory of as many Path objects; NumPy's strings hold valid Unicode only.
        encoded = [os.fsencode(path) for path in paths]
        self._buffer = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._ends) - 1

    def name(self, row: int) -> str:
        """Return the path of a file."""
        return os.fsdecode(self._buffer[self._ends[row] : self._ends[row + 1]])

    def read(self, row: int) -> bytes:
        """Return the content of a file."""
        return read_bytes(self.name(row))

    def open(self, row: int) -> IO[bytes]:
        """Open a file."""
        return open_file(self.name(row), IMAGE_BYTES)

    def at(self, rows: np.ndarray) -> "Paths":
        """Return the files of these rows."""
        return Paths(self.name(row) for row in rows)
