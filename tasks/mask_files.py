"""Masks in files: pictures whose pixel values are class indices, and the text file with the names of the classes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, shorten
from ..core.input_files import read_text
from .target_form import Labels

if TYPE_CHECKING:
    from PIL import Image

MASK_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow's modes with one whole number for each pixel; with a palette (P), the index, not the color."""
MOST_CLASSES = 256
"""Classes that a mask picture can show."""
PALETTE = [
    channel for index in range(MOST_CLASSES) for channel in (index * 67 % 256, index * 131 % 256, index * 197 % 256)
]
"""RGB color of each class, unlike those of the next ones; the first is black."""


def decode_mask(encoded: bytes, name: str) -> np.ndarray:
    """Return the class indices in a mask file, rotated as its EXIF tag says, int32 `(height, width)`.

    Raises:
        InputError: It is no image, or one with colors, or a JPEG.
    """
    from ..core.encoded_images import load_image  # Pillow is not needed to run an artifact
    from ..core.image_formats import JPEG

    image = load_image(encoded, name)
    if image.format in JPEG:
        raise InputError(f"{name} is a JPEG, whose compression changes class indices; save masks as PNG.")
    if image.mode not in MASK_MODES:
        raise InputError(f"{name} has colors ({image.mode}); a mask has one number a pixel, the class index.")
    return np.asarray(image).astype("int32")


def draw_mask(indices: np.ndarray, classes: int) -> "Image.Image":
    """Return a picture whose values are class indices, with a color for each class.

    Args:
        indices: Class index of each pixel, `(height, width)`.
        classes: Number of classes.

    Raises:
        InputError: There are more classes than a picture can show.
    """
    if classes > MOST_CLASSES:
        raise InputError(f"there are {classes} classes; a mask in PNG holds {MOST_CLASSES} at most.")
    from PIL import Image

    picture = Image.fromarray(indices.astype("uint8"))
    picture.putpalette(PALETTE)
    return picture


def read_class_names(file: Path) -> Labels:
    """Return the names of classes in a text file, one on each line.

    Raises:
        InputError: The file cannot be read, or has fewer than two different names.
    """
    names = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{file} has {shorten(', '.join(names)) or 'nothing'}; it takes 2 or more different names, one a line."
        )
    return tuple(names)
