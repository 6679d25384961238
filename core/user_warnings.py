"""Warnings that point at the line of the user's code that called this package, not at a line inside it."""

import contextlib
import inspect
import warnings
from pathlib import Path

INSIDE = (str(Path(__file__).parents[1]), contextlib.__file__)
"""Where frames between the user's code and a warning are."""


def warn(message: str) -> None:
    """Issue a `UserWarning` at the nearest line outside of this package."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
