"""Arrays with one row per image that need not fit in memory."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import IOBase, RawIOBase
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.outputs import by_name


def store_rows(batches: Iterable[Any]) -> Any:
    """Concatenate batches in a temporary file, and return its content as a read-only, memory-mapped array.

    The file has no name, where the system allows it, and its space is freed with the array. `TMPDIR` sets its folder.

    Args:
        batches: One or more arrays `(count, ...)` with equal shapes after the first axis, and equal types; or dicts of
            such arrays by name, of which a dict of arrays is returned.

    Raises:
        InputError: The file cannot be written, as on a full disk.
    """
    with ExitStack() as stack:
        stored: dict[str, _RowFile] = {}
        for batch in batches:
            for name, rows in by_name(batch).items():
                if name not in stored:
                    # Unbuffered: after a failed write, a buffer would be written once more on closing and raise another
                    # error.
                    stored[name] = _RowFile(stack.enter_context(tempfile.TemporaryFile(buffering=0)))
                stored[name].append(rows)
        mapped = {name: rows.map() for name, rows in stored.items()}
    return mapped.get("", mapped)


class _RowFile:
    """A file to which rows are appended."""

    def __init__(self, file: RawIOBase):
        self.file = file
        self.count, self.shape, self.dtype = 0, tuple[int, ...](), np.dtype("float32")

    def append(self, rows: np.ndarray) -> None:
        self.count, self.shape, self.dtype = self.count + len(rows), rows.shape[1:], rows.dtype
        try:
            _write_all(self.file, rows)  # not through the mapping, where a full disk is a crash
        except OSError as error:
            raise InputError(f"{tempfile.gettempdir()} cannot hold temporary files: {error.strerror}.") from error

    def map(self) -> np.ndarray:
        return map_rows(self.file, self.dtype, (self.count, *self.shape))


def _write_all(file: RawIOBase, batch: np.ndarray) -> None:
    """Write the values; a system writes 2 GB at once at most."""
    remaining = np.ascontiguousarray(batch).reshape(-1).view("uint8").data
    while remaining:
        remaining = remaining[file.write(remaining) or 0 :]


def map_rows(file: IOBase | Path, dtype: np.dtype | str, shape: tuple[int, ...]) -> np.ndarray:
    """Map a file of raw values as a read-only array."""
    return np.asarray(np.memmap(file, dtype, "r", shape=shape))


@dataclass(frozen=True, eq=False)
class RowView:
    """A selection of the rows of an array, copied only where it is indexed."""

    array: np.ndarray
    rows: np.ndarray
    """Indices of the rows in `array`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the selection."""
        return (len(self.rows), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return self.array.dtype

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Copy one row, a slice or a list of rows."""
        return self.array[self.rows[key]]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Iterate over the rows."""
        return (self.array[row] for row in self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Copy all rows."""
        return self.array[self.rows].astype(dtype or self.dtype, copy=False)


Rows = np.ndarray | RowView
"""An array with one row per image, or a selection of its rows."""


def select_rows(array: Rows, rows: np.ndarray) -> RowView:
    """Select rows by their indices without a copy."""
    return RowView(array.array, array.rows[rows]) if isinstance(array, RowView) else RowView(array, rows)


def row_bytes(array: Rows) -> int:
    """Size of a row in bytes."""
    return array.dtype.itemsize * prod(array.shape[1:])


def batch_slices(count: int, bytes_per_row: int, batch_bytes: int = 2**26) -> Iterator[slice]:
    """Split `count` rows into batches of about `batch_bytes`, and at least one row."""
    size = max(1, batch_bytes // max(bytes_per_row, 1))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
