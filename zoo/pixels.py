"""Image files to the pixels every model takes. Training and prediction share this one way, so they cannot differ."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError

MODES = {1: "L", 3: "RGB"}


def read_image(path: str | Path, *, height: int, width: int, channels: int) -> np.ndarray:
    """Reads an image file as uint8 pixels 0..255 of shape `(height, width, channels)`.

    Turned as its EXIF tag says, brought to grey (1 channel) or RGB (3), and resized bilinearly without keeping its
    aspect ratio.

    Raises:
        InputError: There is no such file, or it is no whole image, or `channels` is neither 1 nor 3.
    """
    if channels not in MODES:
        raise InputError(f"images can be read with 1 (grey) or 3 (RGB) channels, not {channels}.")
    try:
        with Image.open(path) as image:
            return resize(ImageOps.exif_transpose(image).convert(MODES[channels]), height, width)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        raise InputError(f"{path} cannot be read as an image: {error}.") from error


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """`image` in `height` x `width` pixels, as uint8 of shape `(height, width, channels)`."""
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return pixels.reshape(height, width, -1)
