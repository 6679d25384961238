"""Outputs of a frozen network for the images of a split, computed once and kept on disk."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np


class FeatureMaps:
    """One or more arrays with one row for each image, read from files; the system keeps in memory what fits there.

    Args:
        arrays: Each of shape `(count, ...)`.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        self._arrays = list(arrays)
        self.shapes = [array.shape[1:] for array in arrays]
        self.dtypes = [array.dtype for array in arrays]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._arrays[0])

    def take(self, indices: np.ndarray) -> list[np.ndarray]:
        """Return the rows at `indices` of each array."""
        return [np.asarray(array[indices]) for array in self._arrays]


def write_feature_maps(batches: Iterable[Sequence[np.ndarray]], folder: Path) -> FeatureMaps:
    """Writes the rows of all `batches`, each of which has a part of every array, to files in `folder`.

    Raises:
        OSError: There is no space left.
    """
    files, rows = [], 0
    with ExitStack() as opened:
        for batch in batches:
            if not files:
                paths = (folder / f"{number}.bin" for number in range(len(batch)))
                files = [opened.enter_context(open(path, "wb")) for path in paths]
            for file, part in zip(files, batch, strict=True):
                file.write(np.ascontiguousarray(part))  # through a mapping, a full disk would kill the process
            rows += len(batch[0])
    return FeatureMaps(
        [
            np.memmap(file.name, part.dtype, "r", shape=(rows, *part.shape[1:]))
            for file, part in zip(files, batch, strict=True)
        ]
    )
