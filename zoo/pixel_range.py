"""The range of pixel values that a model expects, as a user states it. Imports no Keras."""

import math
from typing import Any

from ..core.errors import InputError

Range = tuple[float, float]
"""Lowest and highest value."""
RAW: Range = (0.0, 255.0)
"""Raw pixels."""
LARGEST_RAW_SCALE = 1 / 8
"""A model that multiplies its input by less takes 0..255: 0..1 would shrink to an eighth of itself."""


def parse_range(pixels: Any, what: str = "pixels") -> Range:
    """Return the range that a user states: two numbers, or text such as `"0..1"` and `"-1..1"`.

    Args:
        pixels: What the user states.
        what: Name of the argument in messages.

    Raises:
        InputError: It is neither, or the first number is not the lower one.
    """
    try:
        low, high = map(float, pixels.split("..") if isinstance(pixels, str) else pixels)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise InputError(
            f"{what} is {pixels!r}; it takes the range of values that the model expects, lower one first, such as "
            "'0..255', '0..1' or (-1, 1)."
        )
    return low, high
