"""Tables of images: a CSV file with the path of each image and its targets.

The first row names the columns, in any order. White space around values is ignored.

- `image`: the path, relative to the table.
- `split`: train, val (or valid, validation) or test, in any case. Optional.
- `label`: the image's class, for a classification.
- `labels`: the image's labels, for a multi-label classification, as in `cat;sofa`; empty for none of them.
- `mask`: the path of an image whose pixels are class indices, for a segmentation. A file `labels.txt` beside the table
  names the classes, one a line; without it they are the numbers that the masks have.
- `label`, `x1`, `y1`, `x2`, `y2`: class and edges in pixels of an object, for a detection, which has a row for each.
- `label`, `x`, `y`: class and place in pixels of an object to count, for counting, which has a row for each.
- `target`: the path of a picture that is to be made of the image, for an image-to-image.
- `keypoints`: x, y in pixels and visibility of each point, as in `12 30.5 2; 40 31 1`, for keypoints. A file
  `keypoints.txt` beside the table names them, one a line.
- `defect`: `good`, or the kind of the defect, to detect anomalies.
- `text`: what is written on the image, for a sequence: one line. A file `labels.txt` beside the table may state the
  characters, one a line (the space as the word `space`); without it they are those of the table.
- any other columns: numbers, for a regression with one value for each column.

Several outputs have a name and a dot before these: `kind.label`, `tags.labels`, `box.x` and `box.y`, `road.mask` (its
classes in `road.labels.txt`) make a classification `kind`, labels `tags`, a regression `box` and a segmentation `road`.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError, shorten, unknown
from ...core.input_files import check_file
from ...core.limits import TABLE_BYTES, TABLE_COLUMNS
from ...tasks.registry import get_task, task_names
from ...tasks.table_values import parse_path
from .box_files import BOX_COLUMNS, boxes_of_table
from .files import Paths
from .folder_names import split_of_name
from .listing import Listing, Target
from .point_files import POINT_COLUMNS, points_of_table
from .splitting import SPLIT_NAMES

CLASS_COLUMNS = ("class", "classes", "class_id", "class_name", "category", "label_id", "label_name")
"""Columns of other tools that name classes; here they would be numbers to regress."""


@dataclass(frozen=True)
class Table:
    """The text of a table."""

    path: Path
    lines: list[int]
    """Line of the file on which each row ends, counted from 1."""
    columns: dict[str, list[str]]
    """Values by column."""

    def read(self, column: str, parse: Callable[[str], object]) -> list:
        """Return the parsed values of a column; a ValueError of `parse` becomes an InputError with line and column."""
        parsed = []
        for line, value in zip(self.lines, self.columns[column], strict=True):
            try:
                parsed.append(parse(value))
            except ValueError as error:
                raise InputError(f"{self.path}, line {line}, column {shorten(column)!r}: {error}") from None
        return parsed


def list_table(path: Path) -> Listing:
    """Return the images of a table and their targets, as this module describes it.

    Raises:
        InputError: The table or a value is invalid; the message names line and column.
    """
    table = read_table(path)
    names = [name for name in table.columns if name not in ("image", "split")]
    images = [path.parent / value for value in table.read("image", parse_path)]
    splits = splits_of(table)
    if "train" not in splits:
        raise InputError(f"{path} has no train image in its column 'split'.")
    if {"label", *BOX_COLUMNS} <= set(names):
        return boxes_of_table(path, table.lines, table.columns, splits.tolist())
    if {"label", *POINT_COLUMNS} <= set(names):
        return points_of_table(path, table.lines, table.columns, splits.tolist())
    targets = targets_of(table, names)
    return Listing(str(path), Paths(images), targets.get("", targets), splits)


def splits_of(table: Table) -> np.ndarray:
    """Return the split of each row; `train` without a column `split`."""
    return np.array(table.read("split", _split) if "split" in table.columns else ["train"] * len(table.lines))


def targets_of(table: Table, columns: list[str]) -> dict[str, Target]:
    """Return the targets in these columns by output; the name of a single one is empty."""
    return {output: _target(table, own) for output, own in _outputs(table.path, columns).items()}


def read_table(path: Path, paths: str | None = "image") -> Table:
    """Return the text of a CSV file whose first row names the columns.

    Args:
        path: The file.
        paths: Column that it must have; None for none.

    Raises:
        InputError: It cannot be read, or its rows differ in length.
    """
    try:
        check_file(path, TABLE_BYTES)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # names of files may be any
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, [value.strip() for value in row]) for row in _limited(path, reader) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}.") from error
    header = rows[0][1] if rows else []
    if not all(map(_is_unicode, header)):
        raise InputError(f"{path} cannot be read as a CSV file: its first row is not UTF-8.")
    if paths is not None and paths not in header:
        there = shorten(", ".join(header)) or "none"
        remedy = " Rename the column of the paths." if header else ""
        raise InputError(
            f"{path} has no column 'image' with the path of each image; its first row has {there}.{remedy}"
        )
    if "" in header:
        raise InputError(
            f"{path}: column {header.index('') + 1} has no name (pandas: index=False leaves its index out)."
        )
    if len(set(header)) < len(header):
        (twice, _), *_ = Counter(header).most_common(1)
        raise InputError(f"{path} has two columns {shorten(twice)!r}.")
    if len(rows) < 2:
        raise InputError(f"{path} has no images, only names of columns.")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line} has {len(row)} values for {len(header)} columns.")
    lines, values = zip(*rows[1:], strict=True)
    columns = dict(zip(header, map(list, zip(*values, strict=True)), strict=True))
    for name in header:
        if name.rpartition(".")[2] not in ("image", "mask") and not all(map(_is_unicode, columns[name])):
            raise InputError(f"{path} cannot be read as a CSV file: its column {name!r} is not UTF-8.")
    return Table(path, list(lines), columns)


def _limited(path: Path, rows: Iterable[list[str]]) -> Iterator[list[str]]:
    for row in rows:
        TABLE_COLUMNS.check(len(row), path)
        yield row


def _is_unicode(text: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _outputs(path: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """Return the columns by output (a single one has no name) and by their name within the output."""
    if not names:
        raise InputError(f"{path} has no targets beside 'image': give it a label, labels, a mask or numbers.")
    outputs: dict[str, dict[str, str]] = {}
    for name in names:
        output, _, short = name.partition(".")
        if output and short:
            outputs.setdefault(output, {})[short] = name
        else:
            outputs.setdefault("", {})[name] = name
    if "" in outputs and len(outputs) > 1:
        nameless, named = shorten(", ".join(outputs.pop(""))), shorten(", ".join(outputs))
        raise InputError(f"{path}: {nameless} belongs to no output, but others belong to {named}; name all outputs.")
    return outputs


def _target(table: Table, columns: dict[str, str]) -> Target:
    """Return the targets of one output: of the task that a column is named after, or of the task without one."""
    tasks = [task for task in map(get_task, task_names()) if task.has_targets]
    named = [task for task in tasks if task.column in columns]
    if named and len(columns) > 1:
        raise InputError(
            f"{table.path}: columns {shorten(', '.join(columns.values()))} are more than one target. Remove what is "
            "not a target, or name the outputs as in kind.label, size.height, size.width."
        )
    classes = [column for column in columns if column.lower() in CLASS_COLUMNS]
    if classes and not named:
        raise InputError(
            f"{table.path}: column {columns[classes[0]]!r} would be numbers to regress; call it 'label' where it has "
            "the class of an image, otherwise by what it measures."
        )
    task = named[0] if named else next(task for task in tasks if task.column is None)
    if "image" not in table.columns and (task.in_files or not task.of_signals):
        raise InputError(
            f"{table.path}: column {columns[task.column or '']!r} has targets of images, those of {task.name}; signals "
            "take label, labels, identity or numbers."
        )
    labels, rows = task.read_table(table, columns)
    return Target(task.name, labels, rows if isinstance(rows, np.ndarray) else Paths(rows))


def _split(value: str) -> str:
    split = split_of_name(value)
    if split is None:
        raise unknown("split", value, SPLIT_NAMES)
    return split
