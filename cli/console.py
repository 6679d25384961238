"""Output of commands: tables for people, JSON for programs, progress on standard error."""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.output_capture import STANDARD_ERROR, duplicate_descriptor
from ..core.visible_text import visible_line

NUMERIC = re.compile(r"-|-?\d[\d.,]*(%| [A-Za-z]+)?|\d+(x\d+)+|whole image")


def show_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows under a header; numeric columns are right-aligned."""
    from rich import box
    from rich.table import Table

    from ..core.safe_console import SafeConsole

    texts = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    for name, cells in zip(header, zip(*texts, strict=True) if texts else [()] * len(header), strict=True):
        is_numeric = all(NUMERIC.fullmatch(cell) for cell in cells)
        # The first column and numbers are not wrapped; text columns are, where the terminal is narrow.
        no_wrap = is_numeric or not table.columns
        table.add_column(name, justify="right" if is_numeric else "left", overflow="fold", no_wrap=no_wrap)
    for row in texts:
        table.add_row(*row)
    SafeConsole(width=None if sys.stdout.isatty() else 200).print(table)  # a pipe or a file has no width


def show_json(facts: Any) -> None:
    """Print plain data as JSON; NaN and infinite numbers, which JSON does not have, as null."""
    text = json.dumps(_with_nulls(facts), indent=1, allow_nan=False)
    print(text.replace("\x7f", "\\u007f"))  # the one control character that json leaves as it is


def _with_nulls(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _with_nulls(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_with_nulls(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner and the elapsed time on standard error while the block runs, if that is a terminal.

    Yields:
        A function that changes the text.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from ..core.safe_console import SafeConsole

    # The spinner writes to a descriptor of its own, because it keeps turning while converters' output is discarded.
    descriptor = duplicate_descriptor(STANDARD_ERROR)
    if descriptor is None:
        yield lambda text: None
        return
    with os.fdopen(descriptor, "w") as own:
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        console = SafeConsole(file=own)
        with Progress(
            *columns,
            console=console,
            disable=not console.is_terminal,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress:
            task = progress.add_task(visible_line(text))
            yield lambda text: progress.update(task, description=visible_line(text))
