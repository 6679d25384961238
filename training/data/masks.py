"""Masks: image files whose pixels are class indices."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ...zoo.errors import InputError

MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow's names of what has one whole number a pixel; of a palette (P) that is the index, not the colour."""
ORIENTATION = 0x0112
"""EXIF tag; from 5 on the picture lies on its side."""


class FileMasks:
    """Masks in files, decoded when they are indexed with an array of rows, as an array of them would be.

    Args:
        paths: The files.
        height: Rows to bring them to, by the nearest pixel: between two classes there is none.
        width: Columns to bring them to.
    """

    def __init__(self, paths: Sequence[Path], height: int, width: int):
        self._paths = list(paths)
        self.shape = (len(self._paths), height, width)

    def __len__(self) -> int:
        """Number of masks."""
        return len(self._paths)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The masks of these rows, int32 of shape `(len(rows), height, width)`."""
        _, height, width = self.shape

        def sized(row: int) -> np.ndarray:
            mask = Image.fromarray(read_mask(self._paths[row]))
            return np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))

        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(sized, rows)))


def read_mask(path: Path) -> np.ndarray:
    """The class indices in a mask file, turned as its EXIF tag says: int32 of shape `(height, width)`.

    Raises:
        InputError: There is no such file, it is no whole image, or its pixels are colours and no indices.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in MODES:
                raise InputError(f"{path} has colours ({image.mode}); a mask has one number a pixel, the class index.")
            return np.asarray(ImageOps.exif_transpose(image)).astype("int32")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        raise InputError(f"{path} cannot be read as an image: {error}.") from error


def check_mask(path: Path, image: Path, classes: int | None) -> None:
    """Raises InputError where the mask cannot be read, is not the size of its readable `image`, or has other classes.

    Args:
        path: Of the mask.
        image: Path of what it is the mask of.
        classes: Indices must be below it; None where that is not known.
    """
    mask = read_mask(path)
    height, width = _shown_size(image)
    if mask.shape != (height, width):
        raise InputError(f"{path} has {mask.shape[1]}x{mask.shape[0]} pixels, but its image has {width}x{height}.")
    if classes is not None and not 0 <= mask.min() <= mask.max() < classes:
        wrong = mask.max() if mask.max() >= classes else mask.min()
        raise InputError(f"{path} has the value {wrong}; class indices go from 0 to {classes - 1}.")


def _shown_size(path: Path) -> tuple[int, int]:
    """Height and width of an image once it is turned as its EXIF tag says."""
    with Image.open(path) as image:
        width, height = image.size
        return (width, height) if image.getexif().get(ORIENTATION, 1) >= 5 else (height, width)
