"""How commands answer: a table for people, JSON for programs."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..export import Manifest
    from ..tasks.evaluation import BaseEvaluation

FIGURE = re.compile(r"-|-?\d[\d.,]*(%| [A-Za-z]+)?|\d+(x\d+)+|whole image")


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
    # Where the output is no terminal there is no width to keep to. A cell is shown as it is: what stands in brackets is
    # no markup, and what stands between colons no picture.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False).print(table)


def show_json(facts: Any) -> None:
    """Prints the same facts for a program."""
    print(json.dumps(facts, indent=1))


def evaluation_facts(evaluation: "BaseEvaluation | dict[str, BaseEvaluation]") -> dict[str, Any]:
    """The figures as plain numbers, by output where there are several."""
    if isinstance(evaluation, dict):
        return {name: figures.to_dict() for name, figures in evaluation.items()}
    return evaluation.to_dict()


def show_evaluation(evaluation: "BaseEvaluation | dict[str, BaseEvaluation]", title: str) -> None:
    """Prints the figures of every class or number, then those of the whole; of each output in turn."""
    if isinstance(evaluation, dict):
        for name, figures in evaluation.items():
            show_evaluation(figures, f"{title}: {name}")
        return
    columns = list(next(iter(evaluation.details.values())))
    what = "output" if "mae" in columns else "class"
    rows = [(label, *(as_text(name, row[name]) for name in columns)) for label, row in evaluation.details.items()]
    show_table((what, *(HEADINGS.get(name, name) for name in columns)), rows, title=title)
    (name, first), *others = summary(evaluation).items()
    first = f"{name[0].upper()}{name[1:]} {first}{_interval(evaluation)} on {evaluation.images} images"
    print(", ".join([first, *(f"{name} {text}" for name, text in others if text != NOTHING)]))


def _interval(evaluation: "BaseEvaluation") -> str:
    """That of the first figure, in brackets, without the unit that the figure itself has."""
    heading, field = next(iter(evaluation.SUMMARY.items()))
    if field not in evaluation.intervals:
        return ""
    low, high = (as_text(heading, bound, share=".1%").removesuffix("%") for bound in evaluation.intervals[field])
    return f" ({low} to {high})"


def summary(evaluation: "BaseEvaluation | dict[str, BaseEvaluation]") -> dict[str, str]:
    """The figures of the whole by name, as people read them; of several outputs the names begin with the output's."""
    if isinstance(evaluation, dict):
        return {
            f"{output} {name}": text
            for output, figures in evaluation.items()
            for name, text in summary(figures).items()
        }
    return {name: as_text(name, figure) for name, figure in evaluation.summary.items()}


NOTHING = "-"
"""Where there is nothing to measure a figure on."""
HEADINGS = {"f1-score": "f1", "support": "images"}
COUNTS = {"support", "pixels"}
NUMBERS = {
    "loss": ".4f",
    "ROC AUC": ".4f",
    "roc auc": ".4f",
    "mean absolute error": ".5g",
    "root mean square error": ".5g",
    "R2": ".4f",
    "mae": ".5g",
    "rmse": ".5g",
    "r2": ".4f",
}
"""How to show the figures that are no shares."""


def as_text(name: str, figure: float | None, share: str = ".2%") -> str:
    """A figure of an evaluation as people read it: a share in percent, a count as it is.

    Of several outputs the name may begin with the output's.
    """
    if figure is None:
        return NOTHING
    if name in COUNTS:
        return f"{figure:,.0f}"
    kinds = (kind for of, kind in NUMBERS.items() if name == of or name.endswith(f" {of}"))
    return format(figure, next(kinds, share))


def show_manifest(manifest: "Manifest") -> None:
    """Prints one row an artifact, and what was skipped and why."""
    from ..export.artifact.report import HEADER, skipped_reasons, table_rows

    title = f"{manifest.model.model}, proven on {manifest.proven_on}; ms: one image, one thread, median"
    show_table(HEADER, table_rows(manifest), title=title)
    for reason in skipped_reasons(manifest):
        print(f"Skipped: {reason}")


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """Shows a spinner and the seconds on standard error, on a terminal, while the block runs.

    Gives a function by which another text is shown.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # A descriptor of its own, and no hand on the others: the spinner turns on while converters' output is swallowed.
    with os.fdopen(os.dup(2), "w") as own:
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        console = Console(file=own)
        options = {"transient": True, "redirect_stdout": False, "redirect_stderr": False}
        with Progress(*columns, console=console, disable=not console.is_terminal, **options) as progress:
            task = progress.add_task(text)
            yield lambda text: progress.update(task, description=text)
