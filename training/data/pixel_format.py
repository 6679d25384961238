"""The dtype and the range of a dataset's pixels: stated, or inferred so that the user can object."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.user_warnings import warn
from ...zoo.image_files import Dtype
from ...zoo.pixel_range import LARGEST_RAW_SCALE, RAW, Range

INTEGER_BITS = (8, 10, 12, 14, 16)
"""Bits of the numbers that cameras store in 16."""
FLOAT_RANGES: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0), RAW)


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of a dataset are stored and what they may be."""

    dtype: Dtype = "uint8"
    pixel_range: Range = RAW
    note: str = ""
    """What was inferred, or what is lost: a sentence; empty for uint8."""


def parse_range(pixel_range: object) -> Range:
    """Return a range that a user states.

    Raises:
        InputError: It is not two finite numbers of which the first is the lower one.
    """
    try:
        low, high = map(float, pixel_range)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise InputError(
            f"pixel_range is {pixel_range!r}; it takes the lowest and the highest value of a pixel, such as (0, 1)."
        )
    return low, high


def choose_format(
    stored: Iterable[str], low: float, high: float, source: str, *, dtype: Dtype | None, pixel_range: Range | None
) -> PixelFormat:
    """Return the format of a dataset.

    Args:
        stored: NumPy dtypes of its images.
        low: Smallest value of all images.
        high: Largest value.
        source: Name of the dataset for messages.
        dtype: What the user states; None keeps the values: images of one dtype stay as they are, but among 8-bit
            images those of 16 bits are reduced.
        pixel_range: What the user states; None infers it for other dtypes than uint8.

    Raises:
        InputError: The range cannot be inferred, or pixels are outside of the stated one.
    """
    found, note = set(stored), ""
    if dtype is None:
        dtype = "uint8" if "uint8" in found else "uint16" if found == {"uint16"} else "float32"
    if dtype == "uint8":
        if found & {"uint16"}:
            note = "Images of 16 bits are reduced to 8."
        if pixel_range is not None and parse_range(pixel_range) != RAW:
            raise InputError(
                f"{source} has uint8 images, whose pixels are 0..255, not {_shown(parse_range(pixel_range))}; give "
                "images of another range as float32."
            )
        return PixelFormat(dtype, RAW, note)
    if dtype == "uint16" and "uint8" in found:  # a multiple of 257
        high = 65535.0
    if pixel_range is None:
        pixel_range = _inferred(dtype, low, high, source)
        note = f"Pixels are {dtype} of the range {_shown(pixel_range)}, inferred; state pixel_range if they are not."
    low_stated, high_stated = parse_range(pixel_range)
    if low < low_stated or high > high_stated:
        raise InputError(
            f"{source} has pixels from {low:g} to {high:g}, outside of the stated pixel_range {low_stated:g}.."
            f"{high_stated:g}."
        )
    return PixelFormat(dtype, (low_stated, high_stated), note)


def signal_range(parts: Iterable[np.ndarray]) -> Range | None:
    """Return the range of signals that nobody stated: -1..1 if they are within it, or else that of their values.

    None for bytes, whose range is 0..255, and for what is no finite numbers.
    """
    arrays = [part for part in parts if part.size and part.dtype.kind in "iuf" and part.dtype != np.uint8]
    if not arrays:
        return None
    low, high = min(float(part.min()) for part in arrays), max(float(part.max()) for part in arrays)
    if low >= -1 and high <= 1:
        return -1.0, 1.0
    if not -math.inf < low < high < math.inf:
        return None
    warn(f"The signals go from {low:g} to {high:g}; state value_range if others may go further.")
    return low, high


def _inferred(dtype: Dtype, low: float, high: float, source: str) -> Range:
    if dtype == "uint16":
        return 0.0, float(2 ** next(bits for bits in INTEGER_BITS if high < 2**bits) - 1)
    for start, end in FLOAT_RANGES:
        if start <= low and high <= end:
            return start, end
    raise InputError(
        f"{source} has {dtype} pixels from {low:g} to {high:g}; state the range that they may have, as in "
        f"pixel_range=({math.floor(low)}, {math.ceil(high)}) of the data, or pixels= of the model."
    )


def range_of_model(images: Iterable[np.ndarray], known: Range | None) -> Range | None:
    """Return the range of a model that floats are said to have; None where they are not in it, or show another.

    Args:
        images: Images in memory.
        known: Range of the model, if it is known.
    """
    parts = [part for part in images if part.size and part.dtype.kind in "if"]
    if known is None or not parts:
        return None
    low, high = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    shown = next((limits for limits in FLOAT_RANGES if limits[0] <= low and high <= limits[1]), known)
    would_be_dark = shown[1] - shown[0] < LARGEST_RAW_SCALE * (known[1] - known[0])
    return None if would_be_dark or low < known[0] or high > known[1] else known


def _shown(pixel_range: Range) -> str:
    return "..".join(f"{value:g}" for value in pixel_range)


def to_raw(pixels: Any, pixel_range: Range) -> Any:
    """Return pixels, an array or a tensor of floats, mapped linearly from their range to 0..255."""
    low, high = pixel_range
    return pixels if tuple(pixel_range) == RAW else (pixels - low) * (255 / (high - low))


def from_raw(pixels: Any, pixel_range: Range) -> Any:
    """Return the inverse of `to_raw`."""
    low, high = pixel_range
    return pixels if tuple(pixel_range) == RAW else pixels * ((high - low) / 255) + low


def displayable(images: np.ndarray, pixel_range: Range) -> np.ndarray:
    """Return images as uint8 in gray or RGB, `(..., 1 or 3)`: the first three of more bands, the first of two."""
    bands = images[..., : 3 if images.shape[-1] >= 3 else 1]
    return (
        bands if bands.dtype == np.uint8 else to_raw(bands.astype("float32"), pixel_range).clip(0, 255).astype("uint8")
    )


def array_format(
    images: np.ndarray, what: str, *, source: str = "arrays", pixel_range: Range | None = None
) -> tuple[np.ndarray, PixelFormat]:
    """Return images in memory as `array_dtype` does, and their format; warn where it is inferred.

    Raises:
        InputError: They cannot be used, as in `array_dtype` and `choose_format`.
    """
    images = array_dtype(images, what)
    low, high = float(images.min()), float(images.max())
    found = choose_format({str(images.dtype)}, low, high, source, dtype=None, pixel_range=pixel_range)
    if found.note:
        warn(found.note)
    return images, found


def array_dtype(images: np.ndarray, what: str) -> np.ndarray:
    """Return images in memory as uint8, uint16 or float32, all values unchanged.

    Raises:
        InputError: They are no numbers, not finite, or whole numbers that float32 does not hold.
    """
    if images.dtype in (np.uint8, np.uint16):
        return images
    if images.dtype.kind not in "biuf":
        raise InputError(f"{what} are {images.dtype}; they take uint8, uint16, other integers, or floats.")
    converted = images.astype("float32")
    if not np.isfinite(converted).all():
        raise InputError(f"{what} have a value that is no finite number of 32 bits.")
    if images.dtype.kind in "iu" and images.size and np.abs(converted).max() > 2**24:
        raise InputError(f"{what} are {images.dtype} with values above 2**24, which float32 does not hold exactly.")
    return converted
