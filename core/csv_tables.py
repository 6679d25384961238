"""CSV tables that a spreadsheet program opens as what they are: text from files is no formula there."""

import csv
import re
from collections.abc import Iterable
from typing import IO

from .visible_text import visible

FORMULA = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"  # the last four are the wide forms of the first four
"""Beginning of a cell that is computed, or that may be once white space is removed."""
BEGINNING = re.compile(rf"(?:^|(?<=[;\t\r\n]))(?={FORMULA})")
"""Where a formula begins, also in a program that separates cells at semicolons or tabs."""
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def write_csv(file: IO[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows as CSV. Numbers stay numbers, and text stays text, as `text_cell` makes it."""
    table = csv.writer(file, lineterminator="\n")
    table.writerows([text_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def text_cell(text: str) -> str:
    """Return a text that is no formula in a spreadsheet: an apostrophe is put before whatever would begin one.

    Control characters become escapes, as on the terminal. A text that is a number, such as the label "-1", stays.
    """
    return visible(text if NUMBER.fullmatch(text) else BEGINNING.sub("'", text))
