"""Images that take long to decode, kept decoded in a file once they have been."""

import math
import os
import shutil
import tempfile
from typing import Literal

import numpy as np

from .images import Images

LARGEST = 2 * 2**30
"""Bytes of pixels that `auto` keeps: 14,000 colour images of 224 pixels."""


def cached(images: Images, keep: bool | Literal["auto"]) -> Images:
    """`images`, decoded once only if they are to be kept: with `auto` if they take no more than 2 GiB, nor more than
    half of what is free in the folder for temporary files."""
    if keep == "auto":
        free = shutil.disk_usage(tempfile.gettempdir()).free
        keep = len(images) * math.prod(images.shape) <= min(LARGEST, free // 2)
    return CachedImages(images) if keep else images


class CachedImages:
    """The same images; from the second time on each is read from a temporary file, if it found room there.

    The file has no name, in the folder for temporary files (TMPDIR); the system removes it when the process ends,
    however it does, and keeps in memory what fits there. It is not mapped, so that it counts as none of the process'.
    """

    def __init__(self, images: Images):
        self._images = images
        self.shape = images.shape
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the images are)
        self._file.truncate(len(images) * math.prod(images.shape))
        self._kept = np.zeros(len(images), bool)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`."""
        kept = self._kept[indices]
        taken = np.empty((len(indices), *self.shape), "uint8")
        for place in np.flatnonzero(kept):
            os.preadv(self._file.fileno(), [taken[place]], self._start(indices[place]))
        if not kept.all():
            taken[~kept] = self._images.take(indices[~kept])
            for row, pixels in zip(indices[~kept], taken[~kept], strict=True):
                self._keep(row, pixels)
        return taken

    def _keep(self, row: int, pixels: np.ndarray) -> None:
        try:
            written = os.pwrite(self._file.fileno(), pixels.tobytes(), self._start(row))
        except OSError:
            return  # no room; it is decoded again next time
        self._kept[row] = written == pixels.nbytes

    def _start(self, row: int) -> int:
        return int(row) * math.prod(self.shape)
