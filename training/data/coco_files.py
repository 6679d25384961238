"""Images with boxes or keypoints in a COCO JSON file, which has lists of images, annotations and categories.

The images are beside the file, or in a folder `images`. A category that names keypoints makes the data one of
keypoints, with one object in each image; otherwise it is a detection. Crowds (`iscrowd`) are left out.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.documents import read_json
from ...core.errors import InputError, shorten
from ...core.outputs import check_labels
from ...tasks.keypoints import check_inside
from .box_files import BoxedImage, list_boxes, size_of
from .files import Paths
from .listing import Listing, Target

KEYS = {
    "images": {"id", "file_name"},
    "annotations": {"image_id", "category_id"},
    "categories": {"id", "name"},
}
"""What each list of a COCO file has."""
REMEDY = "crop the images to one each, or remove 'keypoints' from the categories to load the boxes"


@dataclass(frozen=True)
class Coco:
    """The content of a COCO file."""

    path: Path
    images: dict[str, BoxedImage]
    """By id; their objects are to be filled in."""
    annotations: list[tuple[str, dict[str, Any]]]
    """Those that are no crowds, each with its place in the file, for messages."""
    categories: dict[str, dict[str, Any]]
    """By id."""


def is_coco(path: Path) -> bool:
    """Return whether a path is of a JSON file."""
    return path.suffix.lower() == ".json" and path.is_file()


def list_coco(path: Path) -> Listing:
    """Return the images of a COCO JSON file.

    Raises:
        InputError: The file, a box or a keypoint is invalid, or an image has several objects with keypoints.
    """
    coco = _read(path)
    named = [key for key, row in coco.categories.items() if row.get("keypoints")]
    return _list_keypoints(coco, named) if named else _list_boxes(coco)


def _read(path: Path) -> Coco:
    content = read_json(path)
    parts = {key: content.get(key) if isinstance(content, Mapping) else None for key in KEYS}
    for key, rows in parts.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= KEYS[key] for row in rows):
            raise InputError(f"{path} is no COCO file: it takes a list {key!r} of {', '.join(sorted(KEYS[key]))}.")
    for key in ("images", "categories"):
        ids = Counter(_key(row["id"]) for row in parts[key] or ())
        if twice := next((each for each, count in ids.items() if count > 1), None):
            raise InputError(f"{path} has two {key} of the id {shorten(twice)}; it takes a different one for each.")
    folder = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    images = {}
    for row in parts["images"] or ():
        size = (row["height"], row["width"]) if {"height", "width"} <= row.keys() else None
        images[_key(row["id"])] = BoxedImage(folder / str(row["file_name"]), "train", [], size)
    categories = {_key(row["id"]): row for row in parts["categories"] or ()}
    annotations = []
    for index, row in enumerate(parts["annotations"] or ()):
        where = f"{path}, annotation {index} (id {row.get('id')})"
        for key, known in (("image_id", images), ("category_id", categories)):
            if _key(row[key]) not in known:
                raise InputError(f"{where} has the {key} {row[key]}, which the file does not have.")
        if not row.get("iscrowd"):
            annotations.append((where, row))
    return Coco(path, images, annotations, categories)


def _list_boxes(coco: Coco) -> Listing:
    for where, row in coco.annotations:
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not _are_numbers(box):
            raise InputError(f"{where} has the bbox {shorten(str(box))}; it takes x, y, width and height in pixels.")
        x, y, width, height = map(float, box)
        name = str(coco.categories[_key(row["category_id"])]["name"])
        coco.images[_key(row["image_id"])].objects.append((name, (x, y, x + width, y + height), where))
    return list_boxes(
        str(coco.path), list(coco.images.values()), [str(row["name"]) for row in coco.categories.values()]
    )


def _list_keypoints(coco: Coco, named: list[str]) -> Listing:
    """Return the images with the keypoints of the only category that names some; an image may have no object."""
    if len(named) > 1:
        raise InputError(f"{coco.path} has {len(named)} categories with keypoints; it takes one.")
    names = coco.categories[named[0]]["keypoints"]
    if not isinstance(names, list) or len(set(map(str, names))) < len(names):
        raise InputError(
            f"{coco.path} has a category with the keypoints {shorten(str(names))}; it takes different names."
        )
    names = check_labels(names)
    found: dict[str, tuple[str, np.ndarray]] = {}
    for where, row in coco.annotations:
        if _key(row["category_id"]) == named[0]:
            image = _key(row["image_id"])
            if image in found:
                raise InputError(f"{where} is another object of image {row['image_id']}; keypoints take one: {REMEDY}.")
            found[image] = where, _points(row.get("keypoints"), len(names), where)
    if not found:
        raise InputError(f"{coco.path} has no objects with keypoints.")
    points = np.zeros((len(coco.images), len(names), 3), "float32")
    for own, (key, boxed) in zip(points, coco.images.items(), strict=True):
        if key in found:
            where, own[:] = found[key]
            height, width = size_of(boxed)
            own[:, :2] /= (width, height)
            check_inside(own, where, (height, width))
    paths, splits = Paths(image.path for image in coco.images.values()), np.full(len(points), "train")
    return Listing(str(coco.path), paths, Target("keypoints", names, points), splits)


def _points(values: Any, count: int, where: str) -> np.ndarray:
    """Return x and y in pixels, and visibility, float32 `(count, 3)`."""
    if not isinstance(values, list) or len(values) != 3 * count or not _are_numbers(values):
        raise InputError(
            f"{where} has the keypoints {shorten(str(values))}; it takes x, y and visibility of {count} points."
        )
    points = np.array(values, "float32").reshape(count, 3)
    for index, visibility in enumerate(points[:, 2]):
        if visibility not in (0, 1, 2):
            raise InputError(f"{where} has the visibility {visibility:g} for point {index}; it takes 0, 1 or 2.")
    points[points[:, 2] == 0] = 0
    return points


def _are_numbers(values: list[Any]) -> bool:
    return all(type(value) in (int, float) for value in values)


def _key(value: object) -> str:
    return json.dumps(value)
