"""Encoded images decoded with Pillow, and their values as stored."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from .array_files import NPY, decode_array, read_array_header
from .errors import InputError, first_line
from .image_formats import FORMATS, JPEG, check_scans, open_image
from .limits import IMAGE_BYTES, IMAGE_PIXELS
from .tiff_bands import ORIENTATION, read_tiff_bands, read_tiff_size, rotated

PNG = b"\x89PNG\r\n\x1a\n"
DEEP_COLOR = (b"\x10\x02", b"\x10\x04", b"\x10\x06")
"""Bits and color type of a PNG, at byte 24: 16 bits in RGB, gray with transparency, or RGB with it."""


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of an image file say."""

    format: str
    """Its name as users know it, such as `WebP`."""
    mode: str
    """Pillow's name for the bands and bits of its pixels, such as `RGB` or `I;16`."""
    size: tuple[int, int]
    """Height and width, after the rotation in its EXIF tag where that comes before the pixels."""


@contextmanager
def _decoding(name: object) -> Iterator[None]:
    """Name the file in all errors of the block, in which nothing but decoders runs: their errors have any class."""
    cannot = f"{name} cannot be read as an image"
    try:
        yield
    except InputError as error:
        raise InputError(f"{cannot}: {error}") from error
    except Image.DecompressionBombError as error:  # of a frame or tile, which Pillow checks itself
        text = first_line(error).partition(" exceeds")[0]
        raise IMAGE_PIXELS.refusal(f"{cannot}: {text}") from error
    except Exception as error:
        text = first_line(error).removesuffix(".")
        raise InputError(f"{cannot}: it is damaged ({text}).") from error


def read_header(file: IO[bytes], name: object) -> ImageHeader:
    """Return what the header of an image file says, without decoding its pixels.

    Raises:
        InputError: It is no image, or its header is damaged.
    """
    with _decoding(name):
        start = file.read(len(NPY))
        file.seek(0)
        if start == NPY:
            shape, dtype = read_array_header(file, IMAGE_BYTES.value)
            if len(shape) not in (2, 3):
                raise InputError(f"it has the shape {shape}; images are numbers (height, width, bands).")
            return ImageHeader("NPY", str(dtype), (shape[0], shape[1]))
        bands = read_tiff_size(file)
        if bands is not None:
            return ImageHeader("TIFF", *bands)
        file.seek(0)
        image = open_image(file)
        kind = "JPEG" if image.format in JPEG else str(image.format)
        width, height = image.size
        is_stated = "exif" in image.info or kind == "TIFF"  # else `getexif` decodes the pixels of a PNG
        is_turned = is_stated and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)  # by a quarter
        return ImageHeader(FORMATS[kind], image.mode, (width, height) if is_turned else (height, width))


def load_image(encoded: bytes, name: object) -> Image.Image:
    """Return the pixels of an encoded file as stored, rotated as its EXIF tag says.

    Raises:
        InputError: It is not a whole image, or larger than the limits.
    """
    with _decoding(name):
        return _load(encoded, None)


def load_displayed(encoded: bytes, name: object, side: int | None = None) -> Image.Image:
    """Return an image as viewers show it: rotated, in gray (L) or RGB, on white where it is transparent.

    Images of 16 bits, 32 bits or floats keep their mode, except for 16-bit PNG in color, which is reduced to 8 bits.

    Args:
        encoded: Content of the file.
        name: Name of the file in messages.
        side: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as both sides have as many pixels.

    Raises:
        InputError: As of `load_image`.
    """
    with _decoding(name):
        return _displayed(_load(encoded, side))


def _load(encoded: bytes, side: int | None) -> Image.Image:
    with open_image(io.BytesIO(encoded)) as image:
        check_scans(encoded, image)
        if side:
            image.draft(None, (side, side))
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        return image


def _displayed(image: Image.Image) -> Image.Image:
    if is_deep(image):
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def is_deep(image: Image.Image) -> bool:
    """Return whether each pixel is one number of 16 or 32 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def read_bands(encoded: bytes, name: object) -> np.ndarray | None:
    """Return the values of an array of NumPy, or of a TIFF of bands that Pillow does not read; None for other files.

    Raises:
        InputError: It is damaged, or in a form that cannot be read.
    """
    with _decoding(name):
        return _image_array(encoded) if encoded.startswith(NPY) else read_tiff_bands(encoded)


def _image_array(encoded: bytes) -> np.ndarray:
    """Return the values of an image in a .npy file, of which other numbers than those of TIFF files become float32."""
    shape, dtype = read_array_header(io.BytesIO(encoded), len(encoded))
    if len(shape) not in (2, 3) or 0 in shape or dtype.kind not in "iuf":
        raise InputError(f"it has {dtype} of the shape {shape}; images are numbers (height, width, bands).")
    IMAGE_PIXELS.check(shape[0] * shape[1], f"it is {shape[1]:,} x {shape[0]:,} and")
    values = decode_array(encoded)
    kept = ("uint8", "uint16", "int16", "int32", "float32")
    values = values.astype(values.dtype.newbyteorder("=") if dtype.name in kept else "float32")
    return values.reshape(*shape, *(1,) * (3 - len(shape)))


def read_values(encoded: bytes, name: object) -> np.ndarray:
    """Return the values of an image as stored, `(height, width, bands)`, rotated as its EXIF tag says.

    Color palettes are resolved and transparency is composited on white. The dtype is uint8 0..255 except for uint16,
    int16, int32 and float32 files.

    Raises:
        InputError: It is not a whole image.
    """
    values = read_bands(encoded, name)
    if values is None:
        values = _read_deep_color(encoded, name)
    if values is None:
        image = load_displayed(encoded, name)
        values = np.asarray(image)
        if is_deep(image):
            values = values.astype(values.dtype.newbyteorder("="))
    return values[..., np.newaxis] if values.ndim == 2 else values


def _read_deep_color(encoded: bytes, name: object) -> np.ndarray | None:
    """Return the values of a PNG of 16 bits in color, which Pillow reduces to 8; None for any other file."""
    if not encoded.startswith(PNG) or encoded[24:26] not in DEEP_COLOR:
        return None
    with _decoding(name), open_image(io.BytesIO(encoded)) as image:
        return rotated(_decode_png(encoded), image.getexif().get(ORIENTATION, 1))


def _decode_png(encoded: bytes) -> np.ndarray:
    """Return the 16-bit values of a PNG in color; transparency is composited on white, gray has one band."""
    import tensorflow as tf  # Pillow reduces them to 8 bits

    try:
        values: np.ndarray = tf.io.decode_png(encoded, dtype=tf.uint16).numpy()
    except tf.errors.OpError as error:  # whose message is about TensorFlow's graph
        raise OSError("its pixels cannot be decompressed") from error
    if values.shape[-1] in (2, 4):
        share = values[..., -1:] / 65535
        values = np.round(values[..., :-1] * share + 65535 * (1 - share)).astype("uint16")
    return values
