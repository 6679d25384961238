"""Decoding of image files to pixels. Training and prediction share this code, so they cannot differ."""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from PIL import Image

from ..core.arguments import check_arguments
from ..core.encoded_images import is_deep, load_displayed, read_bands, read_values
from ..core.errors import InputError, first_line
from ..core.input_files import read_file
from ..core.limits import IMAGE_BYTES
from .image_sources import STANDARD_INPUT, is_address

MODES = {1: "L", 3: "RGB"}
Dtype = Literal["uint8", "uint16", "float32"]
DTYPES: tuple[Dtype, ...] = ("uint8", "uint16", "float32")
JPEG_START = b"\xff\xd8"
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in gray, ITU-R BT.601, as in Pillow."""


@check_arguments
def read_image(
    path: str | Path, *, height: int | None, width: int | None, channels: int = 3, dtype: Dtype = "uint8"
) -> np.ndarray:
    """Read an image file as pixels of shape `(height, width, channels)`, by default uint8 0..255.

    The image is rotated according to its EXIF tag, composited on white if it has transparency, converted to grayscale
    (1 channel) or RGB (3), and resized bilinearly without preserving its aspect ratio. As uint8, 16 bits are reduced to
    8, and a JPEG of at least twice the target size is decoded at 1/2, 1/4 or 1/8 of its size, which takes at most half
    the time. As uint16 or float32, values stay as they are stored, except that 8 bits become 16 as a multiple of 257.

    Args:
        path: An image file in one of the formats that docs/data.md lists, whatever its name; an address that begins
            with http:// or https://; or `"-"` for standard input.
        height: Rows to resize to; None for those of the file.
        width: Columns to resize to; None for those of the file.
        channels: 1 (grayscale), 3 (RGB), or the number of bands of the file.
        dtype: `"uint8"`, `"uint16"` or `"float32"`.

    Raises:
        InputError: The file does not exist, is not a complete image, or has neither one, three nor `channels` bands.
    """
    if channels < 1:
        raise InputError(f"channels is {channels}; images have 1 (grayscale), 3 (RGB) or any other number of bands.")
    return decode_image(read_bytes(path), path, height=height, width=width, channels=channels, dtype=dtype)


def read_pixels(
    path: str | Path | Image.Image,
    *,
    height: int | None,
    width: int | None,
    channels: int,
    pixel_range: tuple[float, float],
) -> np.ndarray:
    """Read an image file for a model that takes pixels of a range: as uint8 0..255, or as float32 values of the range.

    Of 16 bits and floats, values stay as they are stored; but for a model of at most 0..255, 16 bits are reduced to 8.

    Args:
        path: As in `read_image`, or an image of Pillow.
        height: As in `read_image`; so are the next two.
        width: Columns to resize to.
        channels: Number of channels.
        pixel_range: Lowest and highest value that the model takes.

    Raises:
        InputError: It cannot be read, as in `read_image`.
    """
    encoded, name = (_encoded(path), "the image") if isinstance(path, Image.Image) else (read_bytes(path), path)
    stored = read_values(encoded, name)
    is_wide = stored.dtype.kind in "if" or (stored.dtype.itemsize > 1 and pixel_range[1] > 255)
    if is_wide:
        return fit_values(stored, name, height=height, width=width, channels=channels, dtype="float32")
    return decode_image(encoded, name, height=height, width=width, channels=channels)


def _encoded(image: Image.Image) -> bytes:
    """Return an image of Pillow as the content of a TIFF file, which stores every mode without loss."""
    content = io.BytesIO()
    try:
        image.load()
    except Exception as error:  # whatever its decoder raises where its file is damaged
        raise InputError(f"the image of Pillow cannot be read: {first_line(error)}.") from error
    try:
        image.save(content, "TIFF", exif=image.getexif())
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"an image of Pillow in mode {image.mode} cannot be used: {error}.") from error
    return content.getvalue()


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an image file, of an address on the web, or of standard input (`"-"`).

    Raises:
        InputError: It does not exist or cannot be read.
    """
    if is_address(str(path)):
        return _download(str(path))
    if str(path) != STANDARD_INPUT:
        return read_file(path, IMAGE_BYTES)
    encoded = sys.stdin.buffer.read(IMAGE_BYTES.value + 1)
    IMAGE_BYTES.check(len(encoded), "standard input")
    return encoded


def _download(address: str) -> bytes:
    try:
        from .pretrained.network_errors import TransferError, switched_off
        from .pretrained.transfer import transfer
    except ImportError as error:
        raise InputError(f"{address} cannot be downloaded without requests: pip install requests.") from error
    if setting := switched_off(address):
        raise InputError(f"{address} cannot be downloaded: {setting} is set.")
    with TemporaryDirectory() as folder:
        file = Path(folder, "image")
        try:
            transfer(address, file, resume=False, limit=IMAGE_BYTES)
        except TransferError as error:
            raise InputError(f"{address} cannot be downloaded: {error}.") from error
        return file.read_bytes()


def decode_image(
    encoded: bytes,
    name: object,
    *,
    height: int | None,
    width: int | None,
    channels: int,
    dtype: Dtype = "uint8",
) -> np.ndarray:
    """Return the pixels of an encoded image, as `read_image` does.

    Args:
        encoded: Content of an image file.
        name: Name of the file in error messages.
        height: Rows to resize to; None for those of the file.
        width: Columns to resize to; None for those of the file.
        channels: 1 (grayscale), 3 (RGB), or the number of bands of the file.
        dtype: `"uint8"`, `"uint16"` or `"float32"`.

    Raises:
        InputError: It is not a complete image, or has another number of bands.
    """
    if dtype != "uint8" or channels not in MODES or read_bands(encoded, name) is not None:
        return fit_values(read_values(encoded, name), name, height=height, width=width, channels=channels, dtype=dtype)
    # The larger side, because the image may be rotated by its EXIF tag.
    side = max(height, width) if height and width else None
    image = _to_eight_bits(load_displayed(encoded, name, side), name)
    image = image if image.mode == MODES[channels] else image.convert(MODES[channels])
    return resize(image, height or image.height, width or image.width)


def fit_displayed(encoded: bytes, values: np.ndarray, name: object, *, height: int, width: int) -> np.ndarray:
    """Return what `decode_image` returns in RGB, decoding an image no second time unless it takes a part of a JPEG.

    Args:
        encoded: Content of the file.
        values: Its uint8 values from `read_values`, with 1 or 3 bands.
        name: Name of the file in error messages.
        height: Rows to resize to.
        width: Columns to resize to.
    """
    if encoded.startswith(JPEG_START) and min(values.shape[:2]) >= 2 * max(height, width):
        return decode_image(encoded, name, height=height, width=width, channels=3)
    image = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    return resize(image if image.mode == "RGB" else image.convert("RGB"), height, width)


def fit_values(
    values: np.ndarray, name: object, *, height: int | None, width: int | None, channels: int, dtype: Dtype
) -> np.ndarray:
    """Return the values of an image, from `read_values`, in a dtype, number of channels and size; as `decode_image`."""
    values = _with_channels(_as_dtype(values, name, dtype), name, channels)
    rows, columns = height or len(values), width or values.shape[1]
    if values.shape[:2] == (rows, columns):
        return values
    return resize_values(values, rows, columns)


def resize_values(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize `(height, width, bands)` bilinearly, each band in float32, and return the same dtype."""
    bands = [
        np.asarray(Image.fromarray(band).resize((width, height), Image.Resampling.BILINEAR))
        for band in np.moveaxis(values, -1, 0).astype("float32")
    ]
    resized = np.stack(bands, axis=-1)
    return resized if values.dtype.kind == "f" else resized.round().astype(values.dtype)


def _as_dtype(values: np.ndarray, name: object, dtype: Dtype) -> np.ndarray:
    stored = str(values.dtype)
    if stored == dtype:
        return values
    if dtype == "float32":
        return values.astype("float32")
    if (stored, dtype) == ("uint16", "uint8"):
        return (values // 257).astype("uint8")
    if (stored, dtype) == ("uint8", "uint16"):
        return values.astype("uint16") * 257
    if stored in ("int16", "int32") and values.min() >= 0 and values.max() <= 65535:
        return _as_dtype(values.astype("uint16"), name, dtype)
    described = "floating-point numbers" if values.dtype.kind == "f" else "negative or above 65535"
    raise InputError(
        f"{name} cannot be read as an image: its pixels are {described} of unknown range, which {dtype} does not hold; "
        "read it as float32 and state the range (dtype='float32', pixel_range=(low, high))."
    )


def _with_channels(values: np.ndarray, name: object, channels: int) -> np.ndarray:
    bands = values.shape[-1]
    if bands == channels:
        return values
    if bands == 1 and channels in MODES:
        return np.repeat(values, channels, axis=-1)
    if bands == 3 and channels == 1:
        gray = (values * np.array(LUMA)).sum(axis=-1, keepdims=True)
        return gray.astype("float32") if values.dtype.kind == "f" else gray.round().astype(values.dtype)
    raise InputError(f"{name} has {bands} bands, but {channels} channels are to be read; set channels to {bands}.")


def _to_eight_bits(image: Image.Image, name: object) -> Image.Image:
    if image.mode == "F":
        raise InputError(
            f"{name} cannot be read as an image: its pixels are floating-point numbers of unknown range; state "
            "dtype='float32' and pixel_range=(low, high)."
        )
    if is_deep(image):  # Pillow's own conversion would clip at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype("uint8"))
    return image


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Resize `image` bilinearly and return uint8 pixels of shape `(height, width, channels)`."""
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return pixels.reshape(height, width, -1)
