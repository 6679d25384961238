"""Decoded images in a temporary file, so that each is decoded once."""

import math
import os
import shutil
import tempfile
from typing import Literal

import numpy as np

from .images import Images, dtype_of

LARGEST = 2 * 2**30
"""Largest size in bytes that `auto` caches: 14,000 color images of 224 pixels."""


def cached(images: Images, keep: bool | Literal["auto"]) -> Images:
    """Return `images`, cached if `keep`; with `auto` if they take at most 2 GiB and half of the free space in the
    folder for temporary files. They are not cached where no such folder can be written."""
    try:
        if keep == "auto":
            free = shutil.disk_usage(tempfile.gettempdir()).free
            keep = len(images) * _image_bytes(images) <= min(LARGEST, free // 2)
        return CachedImages(images) if keep else images
    except OSError:
        return images


class CachedImages:
    """Images that are read from a temporary file from the second time on, if there was space for them.

    The file has no name and is in the folder for temporary files (TMPDIR). The system removes it when the process ends,
    even if it crashes, and keeps in memory what fits there. It is not mapped, so it does not count as memory of the
    process.
    """

    def __init__(self, images: Images):
        self._images = images
        self.shape = images.shape
        self.dtype = dtype_of(images)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object)
        self._kept = np.zeros(len(images), bool)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices`."""
        kept = self._kept[indices]
        taken = np.empty((len(indices), *self.shape), self.dtype)
        for position in np.flatnonzero(kept):
            os.preadv(self._file.fileno(), [taken[position]], self._start(indices[position]))
        if not kept.all():
            taken[~kept] = self._images.take(indices[~kept])
            for row, pixels in zip(indices[~kept], taken[~kept], strict=True):
                self._keep(row, pixels)
        return taken

    def _keep(self, row: int, pixels: np.ndarray) -> None:
        try:
            written = os.pwrite(self._file.fileno(), pixels.tobytes(), self._start(row))
        except OSError:
            return  # no space; it is decoded again next time
        self._kept[row] = written == pixels.nbytes

    def _start(self, row: int) -> int:
        return int(row) * _image_bytes(self._images)


def _image_bytes(images: Images) -> int:
    return math.prod(images.shape) * dtype_of(images).itemsize
