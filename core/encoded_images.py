"""Encoded images opened with Pillow, and their values as stored."""

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError, first_line
from .tiff_bands import ORIENTATION, read_tiff_bands, rotated

UNTRUSTED = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
"""Pillow's formats that start other programs, or that it only names."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
NOT_IMAGES = {
    b"\0\0\0\x0cJXL ": "it is a JPEG XL image, which Pillow does not read; convert it to PNG or JPEG",
    b"\xff\x0a": "it is a JPEG XL image, which Pillow does not read; convert it to PNG or JPEG",
    b"%PDF": "it is a PDF document; convert its pages to PNG",
    b"%!PS": "it is a PostScript drawing; convert it to PNG",
    b"version https://git-lfs": "it is a pointer of Git LFS; `git lfs pull` fetches the image",
    b"<!DOCTYPE": "it is a web page; the download of the image failed",
    b"<html": "it is a web page; the download of the image failed",
    b"<svg": "it is an SVG drawing; convert it to PNG",
    b"<?xml": "it is an XML document",
    b"PK\x03\x04": "it is a ZIP archive",
}
"""What a file is instead, by its first bytes."""


@contextmanager
def open_image(encoded: bytes, name: object) -> Iterator[Image.Image]:
    """Return Pillow's image of an encoded file; errors that occur in the block name the file.

    Raises:
        InputError: The file is not a whole image.
    """
    with _naming_errors(encoded, name):
        if encoded[4:8] == b"ftyp" and encoded[8:12] in HEIC_BRANDS:
            _register_heic_reader()
        Image.init()
        formats = [known for known in Image.ID if known not in UNTRUSTED]
        with Image.open(io.BytesIO(encoded), formats=formats) as image:
            yield image


@contextmanager
def _naming_errors(encoded: bytes, name: object) -> Iterator[None]:
    cannot = f"{name} cannot be read as an image"
    try:
        if not encoded:
            raise InputError(f"{cannot}: the file is empty.")
        yield
    except InputError as error:
        raise error if str(name) in str(error) else InputError(f"{cannot}: {error}") from error
    except UnidentifiedImageError as error:  # whose text shows the buffer in memory
        reason = next((text for start, text in NOT_IMAGES.items() if encoded.lstrip().startswith(start)), None)
        raise InputError(f"{cannot}: {reason or 'it is in no image format that Pillow reads'}.") from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost any class
        known = isinstance(error, OSError | SyntaxError | ValueError | Image.DecompressionBombError)
        text = first_line(error).removesuffix(".")
        raise InputError(f"{cannot}: {text if known else f'it is damaged ({text})'}.") from error


def _register_heic_reader() -> None:
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise InputError("it is a HEIC image, whose reader is not installed: pip install pillow-heif.") from None


def displayed_size(encoded: bytes) -> tuple[int, int]:
    """Return the height and width of a readable image after the rotation in its EXIF tag."""
    bands = read_tiff_bands(encoded, "image")
    if bands is not None:
        return bands.shape[:2]
    with open_image(encoded, "image") as image:
        width, height = image.size
        is_turned = image.getexif().get(ORIENTATION, 1) >= 5  # by a quarter
        return (width, height) if is_turned else (height, width)


def read_bands(encoded: bytes, name: object) -> np.ndarray | None:
    """Return the values of a TIFF of several bands that Pillow does not read as they are; None for any other file.

    Raises:
        InputError: It is damaged, or in a form that cannot be read.
    """
    with _naming_errors(encoded, name):
        return read_tiff_bands(encoded, name)


def read_values(encoded: bytes, name: object) -> np.ndarray:
    """Return the values of an image as stored, `(height, width, bands)`, rotated as its EXIF tag says.

    Color palettes are resolved and transparency is composited on white. The dtype is uint8 0..255 except for uint16,
    int16, int32 and float32 files.

    Raises:
        InputError: It is not a whole image.
    """
    bands = read_bands(encoded, name)
    if bands is not None:
        return bands
    with open_image(encoded, name) as image:
        if is_sixteen_bit_color(image):
            return rotated(_decode_png(encoded), image.getexif().get(ORIENTATION, 1))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I") or image.mode == "F":
            values = np.asarray(image)
            return values.astype(values.dtype.newbyteorder("="))[..., np.newaxis]
        opaque = on_white(image)
        values = np.asarray(opaque if opaque.mode in ("L", "RGB") else opaque.convert(_displayed_mode(opaque)))
        return values[..., np.newaxis] if values.ndim == 2 else values


def is_sixteen_bit_color(image: Image.Image) -> bool:
    """Return whether Pillow reduces an opened image, in PNG format, to 8 bits."""
    return image.format == "PNG" and ";16" in str(getattr(image, "tile", "")) and image.mode in ("RGB", "RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """Return `image` without transparency, composited on white."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _displayed_mode(image: Image.Image) -> str:
    return "L" if image.mode in ("1", "LA") else "RGB"


def _decode_png(encoded: bytes) -> np.ndarray:
    """Return the 16-bit values of a PNG in color; transparency is composited on white, gray has one band."""
    import tensorflow as tf  # Pillow reduces them to 8 bits

    values = tf.io.decode_png(encoded, dtype=tf.uint16).numpy()
    if values.shape[-1] in (2, 4):
        share = values[..., -1:] / 65535
        values = np.round(values[..., :-1] * share + 65535 * (1 - share)).astype("uint16")
    return values
