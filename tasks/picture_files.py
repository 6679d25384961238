"""Pictures that are targets or outputs: decoded from files, resized, and shown in 8 bits."""

from typing import TYPE_CHECKING

import numpy as np

from .similarity import PEAKS

if TYPE_CHECKING:
    from PIL import Image

TOLERANCE = 1.1
"""By what factor outputs may exceed the range of the pictures that they approximate, and are still taken to have it."""


def decode_picture(encoded: bytes, name: str) -> np.ndarray:
    """Return the values of a picture as stored, float32 `(height, width, channels)`.

    Raises:
        InputError: It is no whole image.
    """
    from ..core.encoded_images import read_values  # Pillow is not needed to run an artifact

    return read_values(encoded, name).astype("float32")


def resize_picture(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture `(height, width, channels)` in another size, by linear interpolation of each channel; whole
    numbers stay whole."""
    if picture.shape[:2] == (height, width):
        return picture
    from PIL import Image

    channels = np.moveaxis(picture.astype("float32"), -1, 0)
    resized = [Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR) for each in channels]
    values = np.stack([np.asarray(each) for each in resized], axis=-1)
    return values.round() if (picture == picture.round()).all() else values


def as_image(pixels: np.ndarray) -> "Image.Image":
    """Return pixels, uint8 `(height, width, 1 or 3)`, as an image of Pillow."""
    from PIL import Image

    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def draw_cross(image: "Image.Image", x: float, y: float, color: str) -> None:
    """Draw a cross on an image in RGB, at a place in shares of width and height."""
    from PIL import ImageDraw

    pen, reach = ImageDraw.Draw(image), max(2, max(image.size) // 60)
    across, down = x * image.width, y * image.height
    for paint, thick in (("black", 3), (color, 1)):
        pen.line([(across - reach, down), (across + reach, down)], paint, thick)
        pen.line([(across, down - reach), (across, down + reach)], paint, thick)


def displayed(pictures: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Return pictures in 8 bits, `(count, height, width, channels)`.

    They are shown as from 0 to 1, 255 or 65535, whichever holds them, or else from their lowest to their highest value.

    Args:
        pictures: Of any range.
        like: Pictures whose range is shown; by default their own, which outputs may slightly exceed.
    """
    shown = pictures if like is None else like
    low, high = float(shown.min()), float(shown.max())
    slack = 1.0 if like is not None else TOLERANCE
    peak = next((each for each in PEAKS if high <= each * slack and low >= -each * (slack - 1)), None)
    start, span = (0.0, peak) if peak is not None else (low, high - low or 1.0)
    return ((pictures - start) * (255 / span)).round().clip(0, 255).astype("uint8")
