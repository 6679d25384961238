"""Tables of images: a CSV file with the path of each image and what is to be answered to it.

The first row names the columns, in any order. White space around a value is no part of it.

- `image`: the path, relative to the table.
- `split`: train, val (or valid, validation) or test. It may be left out.
- `label`: the image's class, for a classification.
- `labels`: what the image shows, for several labels, as in `cat;sofa`; empty for none of them.
- `mask`: the path of an image whose pixels are class indices, for a segmentation. A file `labels.txt` beside the table
  names the classes, one a line; without it they are the numbers that the masks have.
- any other columns: numbers, for a regression with one output a column.

Several outputs have a name and a dot before these: `kind.label`, `tags.labels`, `box.x` and `box.y`, `road.mask` (its
classes in `road.labels.txt`) make a classification `kind`, labels `tags`, a regression `box` and a segmentation `road`.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError, unknown
from .files import Paths
from .listing import Listing, Target
from .splitting import SPLIT_NAMES


@dataclass(frozen=True)
class Table:
    """The text of a table."""

    path: Path
    lines: list[int]
    """Where in the file each row ends, counted from 1."""
    columns: dict[str, list[str]]
    """Values by column."""

    def read(self, column: str, parse: Callable[[str], object]) -> list:
        """The values of a column, parsed; a ValueError of `parse` is told with its line."""
        parsed = []
        for line, value in zip(self.lines, self.columns[column], strict=True):
            try:
                parsed.append(parse(value))
            except ValueError as error:
                raise InputError(f"{self.path}, line {line}, column {column!r}: {error}") from None
        return parsed


def list_table(path: Path) -> Listing:
    """The images of a table and their targets, as this module describes it.

    Raises:
        InputError: It is no such table, or a value cannot be; the message names line and column.
    """
    table = _table(path)
    names = [name for name in table.columns if name not in ("image", "split")]
    images = [path.parent / value for value in table.read("image", _filled)]
    splits = table.read("split", _split) if "split" in table.columns else ["train"] * len(images)
    if "train" not in splits:
        raise InputError(f"{path} has no train image in its column 'split'.")
    targets = {output: _target(table, columns) for output, columns in _outputs(path, names).items()}
    return Listing(str(path), Paths(images), targets.get("", targets), np.array(splits))


def _table(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, [value.strip() for value in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}.") from error
    header = rows[0][1] if rows else []
    if "image" not in header:
        columns = ", ".join(header) or "none"
        raise InputError(f"{path} has no column 'image' with the path of each image; its first row has {columns}.")
    if "" in header:
        raise InputError(
            f"{path}: column {header.index('') + 1} has no name (pandas: index=False leaves its index out)."
        )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path} has two columns {twice!r}.")
    if len(rows) < 2:
        raise InputError(f"{path} has no images, only names of columns.")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line} has {len(row)} values for {len(header)} columns.")
    lines, values = zip(*rows[1:], strict=True)
    columns = dict(zip(header, map(list, zip(*values, strict=True)), strict=True))
    return Table(path, list(lines), columns)


def _outputs(path: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """By output (an only one has no name) its columns, by what they are called within it."""
    if not names:
        raise InputError(f"{path} has nothing to learn beside 'image': give it a label, labels, a mask or numbers.")
    outputs: dict[str, dict[str, str]] = {}
    for name in names:
        output, _, short = name.partition(".")
        if output and short:
            outputs.setdefault(output, {})[short] = name
        else:
            outputs.setdefault("", {})[name] = name
    if "" in outputs and len(outputs) > 1:
        nameless = ", ".join(outputs.pop(""))
        raise InputError(
            f"{path}: {nameless} is of no output, but others are of {', '.join(outputs)}; give all a name."
        )
    return outputs


def _target(table: Table, columns: dict[str, str]) -> Target:
    kinds = {"label": _classification, "labels": _multi_label, "mask": _segmentation}
    found = [kinds[short] for short in columns if short in kinds]
    if not found:
        rows = np.stack([np.array(table.read(name, _number), "float32") for name in columns.values()], axis=1)
        return Target("regression", tuple(columns), rows)
    if len(columns) > 1:
        raise InputError(
            f"{table.path}: columns {', '.join(columns.values())} are more than one thing to answer. Leave out what is "
            "none, or name the outputs as in kind.label, size.height, size.width."
        )
    return found[0](table, *columns.values())


def _classification(table: Table, column: str) -> Target:
    values = table.read(column, _name)
    names = sorted(set(values))
    if len(names) < 2:
        raise InputError(f"{table.path}: column {column!r} has one class only, {names[0]}; it takes 2 or more.")
    index = {name: number for number, name in enumerate(names)}
    return Target("classification", tuple(names), np.array([index[value] for value in values], "int32"))


def _multi_label(table: Table, column: str) -> Target:
    values = table.read(column, _names)
    names = sorted(set().union(*values))
    if not names:
        raise InputError(f"{table.path}: column {column!r} is empty in every row.")
    return Target(
        "multi_label", tuple(names), np.array([[name in value for name in names] for value in values], "float32")
    )


def _segmentation(table: Table, column: str) -> Target:
    paths = [table.path.parent / value for value in table.read(column, _filled)]
    file = table.path.parent / f"{column.removesuffix('mask')}labels.txt"
    return Target("segmentation", _named_classes(file) if file.exists() else None, Paths(paths))


def _named_classes(file: Path) -> tuple[str, ...]:
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{file} has {', '.join(names) or 'nothing'}; it takes 2 or more different names, one a line.")
    return tuple(names)


def _filled(value: str) -> str:
    if not value:
        raise ValueError("it is empty.")
    return value


def _name(value: str) -> str:
    if len(_filled(value).splitlines()) > 1:
        raise ValueError(f"{value!r} has more than one line.")
    return value


def _names(value: str) -> set[str]:
    return {_name(name.strip()) for name in value.split(";")} if value else set()


def _split(value: str) -> str:
    if value.lower() not in SPLIT_NAMES:
        raise unknown("split", value, SPLIT_NAMES)
    return SPLIT_NAMES[value.lower()]


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number; leave the column out if it is nothing to learn.") from None
    if not abs(number) <= float(np.finfo("float32").max):
        raise ValueError(f"{value!r} is no finite number of 32 bits.")
    return number
