"""How commands answer: a table for people, JSON for programs."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..export import Manifest
    from ..training import Evaluation

FIGURE = re.compile(r"-|\d[\d.,]*(%| [A-Za-z]+)?|\d+(x\d+)+|whole image")


def show_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Prints rows under a header; columns of nothing but figures are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    for name, cells in zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True):
        numbers = all(FIGURE.fullmatch(cell) for cell in cells)
        # Names and figures stay whole; what explains them gives way where the terminal is narrow.
        whole = numbers or not table.columns
        table.add_column(name, justify="right" if numbers else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*row)
    # Where the output is no terminal there is no width to keep to.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def show_json(facts: Any) -> None:
    """Prints the same facts for a program."""
    print(json.dumps(facts, indent=1))


def show_evaluation(evaluation: "Evaluation", title: str) -> None:
    """Prints accuracy and the figures of every class."""
    rows = [
        (label, f"{row['precision']:.2%}", f"{row['recall']:.2%}", f"{row['f1-score']:.2%}", f"{row['support']:.0f}")
        for label, row in evaluation.per_class.items()
    ]
    show_table(("class", "precision", "recall", "f1", "images"), rows, title=title)
    print(f"Accuracy {evaluation.accuracy:.2%} on {evaluation.images} images, loss {evaluation.loss:.4f}")


def show_manifest(manifest: "Manifest") -> None:
    """Prints one row an artifact."""
    from ..export.report import HEADER, table_rows

    title = f"{manifest.model.model}, proven on {manifest.proven_on}; ms: one image, one thread, median"
    show_table(HEADER, table_rows(manifest), title=title)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Shows a spinner and the seconds on standard error, on a terminal, while the block runs."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # A descriptor of its own, and no hand on the others: the spinner turns on while converters' output is swallowed.
    with os.fdopen(os.dup(2), "w") as own:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        console = Console(file=own)
        options = {"transient": True, "redirect_stdout": False, "redirect_stderr": False}
        with Progress(*columns, console=console, disable=not console.is_terminal, **options) as progress:
            progress.add_task(text)
            yield
