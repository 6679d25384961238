"""Images in arrays that a data set publishes in splits of its own, as files: everything that reads files reads them."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import IO

import numpy as np

from ...core.errors import InputError
from .listing import Listing, Target

PNM_TYPES = {1: b"P5", 3: b"P6"}
"""Type of a PNM file by the number of channels: a header of a line, then the pixels as they are."""


class PixelRows:
    """Images of one size in memory, each of which reads as a PNM file.

    Args:
        pixels: uint8 `(count, height, width, 1 or 3)`.
        names: Name of each part of the images, with the row at which it starts, in order.
        chosen: Rows of the images that it has, in their order; all if None.
    """

    def __init__(self, pixels: np.ndarray, names: Sequence[tuple[str, int]], chosen: np.ndarray | None = None):
        self._pixels = pixels
        self._names = names
        self._chosen = np.arange(len(pixels)) if chosen is None else chosen
        height, width, channels = pixels.shape[1:]
        self._header = b"%s %d %d 255\n" % (PNM_TYPES[channels], width, height)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._chosen)

    def name(self, row: int) -> str:
        """Return the part that an image is in, and its position there."""
        number = int(self._chosen[row])
        name, start = next((name, start) for name, start in reversed(self._names) if start <= number)
        return f"{name} (image {number - start})"

    def read(self, row: int) -> bytes:
        """Return an image as the content of a PNM file."""
        return self._header + self._pixels[self._chosen[row]].tobytes()

    def open(self, row: int) -> IO[bytes]:
        """Return the content of an image as a stream."""
        return io.BytesIO(self.read(row))

    def at(self, rows: np.ndarray) -> "PixelRows":
        """Return the images of these rows; they are not copied."""
        return PixelRows(self._pixels, self._names, self._chosen[rows])


def list_pixels(
    source: str, parts: Mapping[str, tuple[str, np.ndarray, np.ndarray]], labels: tuple[str, ...]
) -> Listing:
    """Return a classification in the splits in which it was published, without copies across them.

    Published data sets have copies. The test split stays as it is, so that figures compare with those of others;
    training images of which a copy is in another split are left out, and so is every image with a copy in another
    class. `interpretation` says how many.

    Args:
        source: Name of the data set.
        parts: By split: a name, uint8 pixels `(count, height, width, 1 or 3)` and classes `(count,)`.
        labels: Names of the classes.

    Raises:
        InputError: The splits have images of different shapes.
    """
    shapes = {name: pixels.shape[1:] for name, pixels, _ in parts.values()}
    if len(set(shapes.values())) > 1:
        described = ", ".join(f"{'x'.join(map(str, shape))} in {name}" for name, shape in shapes.items())
        raise InputError(f"{source} has images of {described}; all take one size.")
    counts = [len(pixels) for _, pixels, _ in parts.values()]
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    pixels = np.concatenate([pixels for _, pixels, _ in parts.values()])
    classes = np.concatenate([classes for _, _, classes in parts.values()]).astype("int32")
    splits = np.repeat(list(parts), counts)
    kept = _without_copies(pixels, classes, splits)
    names = [(name, start) for (name, _, _), start in zip(parts.values(), starts, strict=True)]
    left_out = len(pixels) - len(kept)
    return Listing(
        source,
        PixelRows(pixels, names).at(kept),
        Target("classification", labels, classes[kept]),
        splits[kept],
        interpretation=f"{left_out:,} of {len(pixels):,} images of {source} are left out: copies of images of another "
        "split or another class."
        if left_out
        else "",
        image_shape=pixels.shape[1:],
    )


def _without_copies(pixels: np.ndarray, classes: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Return the rows that stay: training images have no copy in another split, and no image one in another class."""
    contents = [hashlib.sha256(image.tobytes()).digest() for image in pixels]
    elsewhere: dict[bytes, str] = {}
    for split in ("validation", "test"):  # of copies in both, those in test stay
        elsewhere |= {contents[row]: split for row in np.flatnonzero(splits == split)}
    rows = [row for row, content in enumerate(contents) if elsewhere.get(content, splits[row]) == splits[row]]
    found: dict[bytes, set[int]] = {}
    for row in rows:
        found.setdefault(contents[row], set()).add(int(classes[row]))
    return np.array([row for row in rows if len(found[contents[row]]) == 1], int)
