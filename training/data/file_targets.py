"""Targets in files, such as masks, decoded when they are needed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...tasks.task import Task
from .files import Files


class FileTargets:
    """Targets in files, decoded when they are indexed with an array of rows, as an array of them would be.

    Args:
        files: The files.
        task: Task that decodes and resizes them.
        height: Height of the targets.
        width: Width of the targets.
        num_outputs: Number of classes or channels.
    """

    def __init__(self, files: Files, task: Task, height: int, width: int, num_outputs: int):
        self.files = files
        self.dtype = np.dtype(task.target_dtype)
        self._task = task
        self._size = height, width
        self.shape = (len(files), *task.target_shape(num_outputs, (height, width)))

    def __len__(self) -> int:
        """Return the number of targets."""
        return len(self.files)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets of these rows, in the dtype of training."""
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(self._read, rows)))

    def _read(self, row: int) -> np.ndarray:
        target = self._task.decode_file(self.files.read(row), self.files.name(row))
        return self._task.resize_target(target, *self._size)
