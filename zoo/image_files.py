"""Image files to the pixels every model takes. Training and prediction share this one way, so they cannot differ."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..core.encoded_images import open_image
from ..core.errors import InputError

MODES = {1: "L", 3: "RGB"}


def read_image(path: str | Path, *, height: int | None, width: int | None, channels: int = 3) -> np.ndarray:
    """Reads an image file as uint8 pixels 0..255 of shape `(height, width, channels)`; None for a side as it is.

    Turned as its EXIF tag says, 16 bits brought to 8, transparency shown on white, brought to grey (1 channel) or RGB
    (3), and resized bilinearly without keeping its aspect ratio; a JPEG that is at least twice too large is decoded at
    half, a quarter or an eighth of its size, which takes half the time and less.

    Raises:
        InputError: There is no such file, or it is no whole image, or `channels` is neither 1 nor 3.
    """
    if channels not in MODES:
        raise InputError(f"images can be read with 1 (grey) or 3 (RGB) channels, not {channels}.")
    return decode_image(read_bytes(path), path, height=height, width=width, channels=channels)


def read_bytes(path: str | Path) -> bytes:
    """The content of an image file.

    Raises:
        InputError: There is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error}.") from error


def decode_image(encoded: bytes, name: object, *, height: int | None, width: int | None, channels: int) -> np.ndarray:
    """The pixels of an image file's content, as `read_image` gives them.

    Args:
        encoded: The content.
        name: What an error calls it.
        height: Rows to resize to; None for those that it has.
        width: Columns to resize to; None for those that it has.
        channels: 1 (grey) or 3 (RGB).

    Raises:
        InputError: It is no whole image.
    """
    with open_image(encoded, name) as image:
        if height and width:
            image.draft(None, (max(height, width),) * 2)  # of JPEG alone; sides both, for it may lie on its side
        ImageOps.exif_transpose(image, in_place=True)
        shown, mode = _eight_bits(image), MODES[channels]
        return resize(
            shown if shown.mode == mode else shown.convert(mode), height or shown.height, width or shown.width
        )


def _eight_bits(image: Image.Image) -> Image.Image:
    """`image` with 0..255 a channel and no transparency, as a screen would show it on white."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no known range")
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut off all above 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """`image` in `height` x `width` pixels, as uint8 of shape `(height, width, channels)`."""
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return pixels.reshape(height, width, -1)
