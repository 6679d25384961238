"""Values of a CSV table as text to what they mean; a ValueError says what is wrong with one."""

import numpy as np

from ..core.errors import shorten


def parse_path(value: str) -> str:
    """Return the path of a file, which is not empty."""
    if not value:
        raise ValueError("it is empty.")
    return value


def parse_label(value: str) -> str:
    """Return the name of a class: one line, not empty."""
    if len(parse_path(value).splitlines()) > 1:
        raise ValueError(f"{shorten(value)!r} has more than one line.")
    return value


def parse_labels(value: str) -> set[str]:
    """Names of labels, separated by semicolons; empty for none."""
    return {parse_label(name.strip()) for name in value.split(";")} if value else set()


def parse_number(value: str) -> float:
    """Return a finite number that fits into 32 bits."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{shorten(value)!r} is not a number; remove the column if it is not a target.") from None
    if not abs(number) <= float(np.finfo("float32").max):
        raise ValueError(f"{shorten(value)!r} is not a finite number of 32 bits.")
    return number
