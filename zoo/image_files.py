"""Decoding of image files to pixels. Training and prediction share this code, so they cannot differ."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..core.arguments import check_arguments
from ..core.encoded_images import open_image
from ..core.errors import InputError

MODES = {1: "L", 3: "RGB"}


@check_arguments
def read_image(path: str | Path, *, height: int | None, width: int | None, channels: int = 3) -> np.ndarray:
    """Read an image file as uint8 pixels 0..255 of shape `(height, width, channels)`.

    The image is rotated according to its EXIF tag, reduced from 16 to 8 bits, composited on white if it has
    transparency, converted to grayscale (1 channel) or RGB (3), and resized bilinearly without preserving its aspect
    ratio. A JPEG of at least twice the target size is decoded at 1/2, 1/4 or 1/8 of its size, which takes at most half
    the time.

    Args:
        path: An image file in any format that Pillow reads.
        height: Rows to resize to; None for those of the file.
        width: Columns to resize to; None for those of the file.
        channels: 1 (grayscale) or 3 (RGB).

    Raises:
        InputError: The file does not exist or is not a complete image, or `channels` is neither 1 nor 3.
    """
    if channels not in MODES:
        raise InputError(f"images can be read with 1 (grayscale) or 3 (RGB) channels, not {channels}.")
    return decode_image(read_bytes(path), path, height=height, width=width, channels=channels)


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an image file.

    Raises:
        InputError: The file does not exist or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error}.") from error


def decode_image(encoded: bytes, name: object, *, height: int | None, width: int | None, channels: int) -> np.ndarray:
    """Return the pixels of an encoded image, as `read_image` does.

    Args:
        encoded: Content of an image file.
        name: Name of the file in error messages.
        height: Rows to resize to; None for those of the file.
        width: Columns to resize to; None for those of the file.
        channels: 1 (grayscale) or 3 (RGB).

    Raises:
        InputError: It is not a complete image.
    """
    with open_image(encoded, name) as image:
        if height and width:
            # Only affects JPEG. The larger side twice, because the image may be rotated by its EXIF tag.
            image.draft(None, (max(height, width),) * 2)
        ImageOps.exif_transpose(image, in_place=True)
        opaque, mode = _to_eight_bits(image), MODES[channels]
        return resize(
            opaque if opaque.mode == mode else opaque.convert(mode), height or opaque.height, width or opaque.width
        )


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return `image` with values 0..255 and without transparency, composited on white."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Resize `image` bilinearly and return uint8 pixels of shape `(height, width, channels)`."""
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return pixels.reshape(height, width, -1)
