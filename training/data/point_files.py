"""Images with points to count: a CSV file with a row for each object.

Columns are `image`, `label`, `x` and `y`, from the left and from the top in pixels, optionally `split`. An image
without objects has one row in which the others are empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...core.encoded_images import read_header
from ...core.errors import InputError, shorten
from ...core.input_files import open_file
from ...core.limits import IMAGE_BYTES
from ...core.outputs import check_labels
from ...tasks.object_targets import padded
from .files import Paths
from .listing import Listing, Target

POINT_COLUMNS = ("x", "y")


@dataclass
class _PointedImage:
    """An image and the points on it: class, x and y in pixels, and the place in the file."""

    path: Path
    split: str
    points: list[tuple[str, float, float, str]] = field(default_factory=list)


def points_of_table(
    path: Path, lines: Sequence[int], columns: Mapping[str, Sequence[str]], splits: Sequence[str]
) -> Listing:
    """Return the images of a table with a row for each point; the classes are those that occur, in alphabetical order.

    Args:
        path: The table.
        lines: Line of each row.
        columns: Text of each row by column: `image`, `label`, `x` and `y`.
        splits: Split of each row.

    Raises:
        InputError: A row or a point is invalid, or an image is in two splits.
    """
    if others := set(columns) - {"image", "label", "split", *POINT_COLUMNS}:
        raise InputError(f"{path} has points and the column {shorten(min(others))!r}, which is none of theirs.")
    images: dict[str, _PointedImage] = {}
    for row, (line, name) in enumerate(zip(lines, columns["image"], strict=True)):
        where = f"{path}, line {line}"
        image = images.setdefault(name, _PointedImage(path.parent / name, splits[row]))
        if image.split != splits[row]:
            raise InputError(f"{where} has the image {name!r} in {splits[row]}, an earlier line in {image.split}.")
        label, x, y = (columns[key][row] for key in ("label", *POINT_COLUMNS))
        if label:
            image.points.append((label, _number(x, where, "x"), _number(y, where, "y"), where))
        elif x or y:
            raise InputError(f"{where} has a point without a label.")
    labels = sorted({label for image in images.values() for label, *_ in image.points})
    if not labels:
        raise InputError(f"{path} has no points.")
    rows = padded([_shares(image, labels) for image in images.values()], values=3)
    target = Target("counting", check_labels(labels), rows)
    image_splits = np.array([image.split for image in images.values()])
    return Listing(str(path), Paths(image.path for image in images.values()), target, image_splits)


def _shares(image: _PointedImage, labels: Sequence[str]) -> np.ndarray:
    """Return x and y, as shares of width and height, and class of each point, `(points, 3)`."""
    with open_file(image.path, IMAGE_BYTES) as file:
        height, width = read_header(file, image.path).size
    for _, x, y, where in image.points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise InputError(f"{where} has the point {x:g}, {y:g}, which is outside of its {width}x{height} pixels.")
    shares = [(x / width, y / height, labels.index(label)) for label, x, y, _ in image.points]
    return np.array(shares, "float32").reshape(-1, 3)


def _number(text: str, where: str, column: str) -> float:
    try:
        number = float(text)
    except ValueError:
        shown = repr(shorten(text)) if text else "nothing"
        raise InputError(f"{where} has {shown} as {column}; it takes pixels.") from None
    if not np.isfinite(number):
        raise InputError(f"{where} has {text} as {column}; it takes pixels.")
    return number
