"""Encoded images opened with Pillow."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from .errors import InputError

ORIENTATION = 0x0112
"""EXIF tag; from 5 on the image is rotated by a quarter turn."""


@contextmanager
def open_image(encoded: bytes, name: object) -> Iterator[Image.Image]:
    """Return Pillow's image of an encoded file; errors that occur in the block name the file.

    Raises:
        InputError: The file is not a whole image.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:  # whose text shows the buffer in memory
        raise InputError(f"{name} cannot be read as an image: it is in no image format that Pillow reads.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        raise InputError(f"{name} cannot be read as an image: {error}.") from error


def displayed_size(encoded: bytes) -> tuple[int, int]:
    """Return the height and width of an image after the rotation in its EXIF tag."""
    with Image.open(io.BytesIO(encoded)) as image:
        width, height = image.size
        return (width, height) if image.getexif().get(ORIENTATION, 1) >= 5 else (height, width)
