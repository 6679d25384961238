"""Whether the values of images are those that a model takes."""

from typing import Any

import numpy as np

from ..core.errors import InputError
from .artifact.tensors import RAW


def check_pixels(images: np.ndarray, what: str, limits: tuple[float, float]) -> None:
    """Raise InputError where images are neither raw pixels in whole numbers nor floats in the range of the model.

    Args:
        images: Any number of images.
        what: What messages call them, in the plural or as an argument.
        limits: Lowest and highest value that the model expects.
    """
    if images.dtype.kind not in "uif":
        raise InputError(f"{what} has type {images.dtype}; it takes images, (images, labels) or a split.")
    lowest, highest = float(images.min()), float(images.max())
    low, high = limits if images.dtype.kind == "f" else RAW
    tolerance = (high - low) * 1e-3 if images.dtype.kind == "f" and limits != RAW else 0.0
    if not np.isfinite(images).all() or lowest < low - tolerance or highest > high + tolerance:
        remedy = "" if limits != RAW else "; state the range that the model expects with pixels, if it is another"
        found = f"{what} has values from {images.min()} to {images.max()}"
        raise InputError(f"{found}; pixels go from {low:g} to {high:g}{remedy}.")
    if limits == RAW and images.dtype.kind == "f" and _is_unit(images):
        raise InputError(
            f"{what} has fractions from {lowest:g} to {highest:g}, but the model takes pixels from 0 to 255; multiply "
            "by 255, or state pixels='0..1' for a model that expects such values."
        )


def range_of(images: Any) -> tuple[float, float] | None:
    """Return the range that float images show: 0..1, or -1..1; None for others."""
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f" or not images.size:
        return None
    if images.min() < 0 and images.min() >= -1 and images.max() <= 1:
        return (-1.0, 1.0)
    return (0.0, 1.0) if _is_unit(images) else None


def _is_unit(images: np.ndarray) -> bool:
    """Whether values are fractions from 0 to 1: raw pixels that are this dark would be whole numbers."""
    return bool(images.min() >= 0 and images.max() <= 1 and (images != np.round(images)).any())
