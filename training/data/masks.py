"""Masks: image files whose pixels are class indices."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps

from ...core.encoded_images import displayed_size as shown_size
from ...core.encoded_images import open_image
from ...core.errors import InputError
from .files import Files

MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow's names of what has one whole number a pixel; of a palette (P) that is the index, not the colour."""


class FileMasks:
    """Masks in files, decoded when they are indexed with an array of rows, as an array of them would be.

    Args:
        files: The files.
        height: Rows to bring them to, by the nearest pixel: between two classes there is none.
        width: Columns to bring them to.
    """

    def __init__(self, files: Files, height: int, width: int):
        self.files = files
        self.shape = (len(files), height, width)

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.files)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The masks of these rows, int32 of shape `(len(rows), height, width)`."""
        _, height, width = self.shape

        def sized(row: int) -> np.ndarray:
            mask = Image.fromarray(decode_mask(self.files.read(row), self.files.name(row)))
            return np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))

        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(sized, rows)))


def decode_mask(encoded: bytes, name: str) -> np.ndarray:
    """The class indices in a mask file, turned as its EXIF tag says: int32 of shape `(height, width)`.

    Args:
        encoded: The content of the file.
        name: What an error calls it.

    Raises:
        InputError: It is no whole image, or its pixels are colours and no indices.
    """
    with open_image(encoded, name) as image:
        if image.mode not in MODES:
            raise InputError(f"{name} has colours ({image.mode}); a mask has one number a pixel, the class index.")
        return np.asarray(ImageOps.exif_transpose(image)).astype("int32")


def check_mask(mask: np.ndarray, name: str, image: bytes, classes: int | None) -> None:
    """Raises InputError where a mask is not the size of its readable image, or has other classes.

    Args:
        mask: Class indices, `(height, width)`.
        name: What an error calls it.
        image: Content of the file that it is the mask of.
        classes: Indices must be below it; None where that is not known.
    """
    height, width = shown_size(image)
    if mask.shape != (height, width):
        raise InputError(f"{name} has {mask.shape[1]}x{mask.shape[0]} pixels, but its image has {width}x{height}.")
    if classes is not None and not 0 <= mask.min() <= mask.max() < classes:
        wrong = mask.max() if mask.max() >= classes else mask.min()
        raise InputError(f"{name} has the value {wrong}; class indices go from 0 to {classes - 1}.")
