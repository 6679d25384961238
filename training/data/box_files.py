"""Images with boxes in the forms that annotation tools write: Pascal VOC XML, YOLO text and CSV; see also `coco_files`.

- Pascal VOC: a folder with `Annotations` (an `.xml` file for each image) beside `JPEGImages` or `images`.
- YOLO: a folder with `labels` (a `.txt` file for each image, rows of class index, middle and size as shares) beside
  `images`, and the names of the classes in `classes.txt` or `data.yaml`. Both have folders of the splits, or none.
- CSV: columns `image`, `label`, `x1`, `y1`, `x2`, `y2` in pixels, optionally `split`, a row for each object. An image
  without objects has one row in which the others are empty.

Edges beyond the image are clipped, and how many is said in the data's `interpretation`; boxes wholly outside or of no
area are refused.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from ...core.documents import read_yaml
from ...core.encoded_images import read_header
from ...core.errors import InputError, shorten, unknown
from ...core.input_files import open_file, read_text
from ...core.limits import IMAGE_BYTES
from ...core.outputs import check_labels
from ...tasks.object_targets import padded
from .files import Paths
from .folder_names import split_of_name
from .listing import Listing, Target

BOX_COLUMNS = ("x1", "y1", "x2", "y2")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class BoxedImage:
    """An image and the objects in it, as its file has them."""

    path: Path
    split: str
    objects: list[tuple[str, tuple[float, float, float, float], str]]
    """Class; left, top, right and bottom edge; and the place in the file, for messages."""
    stated_size: tuple[int, int] | None = None
    """Height and width that the file of the boxes states."""
    in_shares: bool = False
    """Whether edges are shares of width and height, not pixels."""


def list_boxes(source: str, images: Sequence[BoxedImage], labels: Sequence[str] | None = None) -> Listing:
    """Return the listing of images with boxes.

    Args:
        source: Name of the source in messages.
        images: The images.
        labels: Names of the classes; by default those that occur, in alphabetical order.

    Raises:
        InputError: A box or a class is none, an image is not as large as stated, or there are no images or objects.
    """
    names = sorted({name for image in images for name, *_ in image.objects}) if labels is None else list(labels)
    if not images or not any(image.objects for image in images):
        raise InputError(f"{source} has no {'objects' if images else 'images'} with boxes.")
    counts: Counter[str] = Counter()
    rows = [_shares(image, names, counts) for image in images]
    note = f"{counts['clipped']} boxes reached beyond their image and were clipped." if counts["clipped"] else ""
    target = Target("detection", check_labels(names), padded(rows))
    splits = np.array([image.split for image in images])
    if "train" not in splits:
        raise InputError(f"{source} has no images for training; its splits are {', '.join(sorted(set(splits)))}.")
    return Listing(source, Paths(image.path for image in images), target, splits, interpretation=note)


def _shares(image: BoxedImage, names: Sequence[str], counts: Counter[str]) -> np.ndarray:
    """Return edges, as shares of width and height, and class of each object, `(objects, 5)`."""
    rows = []
    height, width = (1, 1) if image.in_shares else size_of(image)
    for name, edges, where in image.objects:
        if name not in names:
            raise unknown(f"class in {where}", name, names)
        box = np.array(edges, "float64") / (width, height, width, height)
        shown = ", ".join(f"{edge:g}" for edge in edges)
        if not np.isfinite(box).all():
            raise InputError(f"{where} has the box {shown}, which has an edge that is no finite number.")
        inside = box.clip(0, 1)
        if (box[2:] <= box[:2]).any():
            raise InputError(f"{where} has the box {shown} (left, top, right, bottom), which has no area.")
        if (inside[2:] <= inside[:2]).any():
            size = "" if image.in_shares else f" of {width}x{height} pixels"
            raise InputError(f"{where} has the box {shown}, which is outside of its image{size}.")
        counts["clipped"] += bool(np.abs(inside - box).max() > 1e-3)
        rows.append([*inside, names.index(name)])
    return np.array(rows, "float32").reshape(-1, 5)


def size_of(image: BoxedImage) -> tuple[int, int]:
    """Return height and width of an image.

    Raises:
        InputError: The file cannot be read, or has another size than is stated.
    """
    with open_file(image.path, IMAGE_BYTES) as file:
        size = read_header(file, image.path).size
    if image.stated_size not in (None, size):
        (height, width), (rows, columns) = image.stated_size or size, size
        raise InputError(
            f"{image.path} has {columns}x{rows} pixels (as its EXIF tag rotates it), but is stated to have "
            f"{width}x{height}."
        )
    return size


# Folders: Pascal VOC and YOLO


def boxes_layout(folder: Path) -> Callable[[Path], Listing] | None:
    """Return the function that lists a folder of images beside files with boxes; None for another folder."""
    for read, names, suffix in ((list_voc, ("Annotations", "annotations"), ".xml"), (list_yolo, ("labels",), ".txt")):
        for name in names:
            inside = folder / name
            if inside.is_dir() and next(inside.rglob(f"*{suffix}"), None) is not None:
                return read
    return None


def list_voc(folder: Path) -> Listing:
    """Return the images of a folder in the form of Pascal VOC.

    The lists `ImageSets/Main/train.txt` and `val.txt` (or `test.txt`) are the splits, where they exist.

    Raises:
        InputError: A file or a box is invalid.
    """
    annotations = next(folder / name for name in ("Annotations", "annotations") if (folder / name).is_dir())
    pictures = _images_in(folder, ("JPEGImages", "images"))
    lists = {path: split_of_name(path.stem) for path in (folder / "ImageSets" / "Main").glob("*.txt")}
    splits = {
        line.split()[0]: split
        for path, split in lists.items()
        if split is not None
        for line in read_text(path).splitlines()
        if line.strip()
    }
    images = []
    for file in sorted(annotations.rglob("*.xml")):
        size, objects = _read_voc(file)
        stem = file.relative_to(annotations).with_suffix("").as_posix()
        split = _split_of_path(file.relative_to(annotations)) or splits.get(file.stem, "train")
        images.append(BoxedImage(_picture(pictures, stem, file), split, objects, size))
    return list_boxes(str(folder), images)


def _read_voc(path: Path) -> tuple[tuple[int, int] | None, list[Any]]:
    """Return height and width, and the objects, of an XML file, in which no entity is expanded."""
    tree = _elements(path)
    size = {name[1]: text for name, text in tree if name[:1] == ("size",) and len(name) == 2}
    boxes: dict[int, dict[str, str]] = {}
    number = -1
    for name, text in tree:
        if name == ("object",):
            number += 1
        elif name[:1] == ("object",) and (len(name) == 2 or name[1] == "bndbox"):
            boxes.setdefault(number, {})[name[-1]] = text
    objects = []
    for index, values in boxes.items():
        where = f"{path}, object {index}"
        edges = tuple(_number(values.get(key), where, key) for key in ("xmin", "ymin", "xmax", "ymax"))
        if not values.get("name"):
            raise InputError(f"{where} has no name.")
        objects.append((values["name"], edges, where))
    sides = tuple(int(_number(size.get(key), str(path), key)) for key in ("height", "width")) if size else None
    return (sides if sides and all(sides) else None), objects  # type: ignore[return-value]


def _elements(path: Path) -> list[tuple[tuple[str, ...], str]]:
    """Return path and text of each element of an XML file, in the order of their beginnings; the root is left out.

    Raises:
        InputError: It is not XML, or declares entities.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    open_elements: list[str] = []
    numbers: list[int] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        open_elements.append(name)
        numbers.append(len(found))
        found.append((tuple(open_elements[1:]), ""))

    def text(data: str) -> None:
        element, before = found[numbers[-1]]
        found[numbers[-1]] = element, before + data

    def end(name: str) -> None:
        open_elements.pop()
        numbers.pop()

    def refuse(*_: object) -> None:
        raise InputError(f"{path} declares entities or a document type, which files of boxes have no use for.")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(read_text(path), True)
    except expat.ExpatError as error:
        raise InputError(f"{path} cannot be read as XML: {error}.") from error
    return [(element, content.strip()) for element, content in found if element]


def list_yolo(folder: Path) -> Listing:
    """Return the images of a folder in the form of YOLO.

    An image without a file of boxes has no objects.

    Raises:
        InputError: A file, a row or a box is invalid, or the classes are not named.
    """
    classes, pictures = _yolo_classes(folder), _images_in(folder, ("images",))
    labels, images = folder / "labels", []
    known = set()
    for stem, picture in sorted(pictures.items()):
        file = labels / f"{stem}.txt"
        known.add(file)
        objects = list(_read_yolo(file, classes)) if file.is_file() else []
        split = _split_of_path(Path(stem)) or "train"
        images.append(BoxedImage(picture, split, objects, in_shares=True))
    for file in sorted(labels.rglob("*.txt")):
        if file not in known and file.name != "classes.txt":
            raise InputError(f"{file} has no image of its name in {folder / 'images'}.")
    return list_boxes(str(folder), images, classes)


def _read_yolo(path: Path, classes: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        parts, where = line.split(), f"{path}, line {number}"
        if not parts:
            continue
        if len(parts) != 5 or not parts[0].isdecimal():
            raise InputError(
                f"{where} is {shorten(line)!r}; it takes a class index, and x and y of the middle, width and height as "
                "shares."
            )
        if int(parts[0]) >= len(classes):
            raise InputError(f"{where} has the class {parts[0]}; classes go from 0 to {len(classes) - 1}.")
        x, y, width, height = (_number(part, where, "number") for part in parts[1:])
        if max(abs(x), abs(y), width, height) > 2:
            raise InputError(f"{where} is {shorten(line)!r}, which are pixels; it takes shares from 0 to 1.")
        yield classes[int(parts[0])], (x - width / 2, y - height / 2, x + width / 2, y + height / 2), where


def _yolo_classes(folder: Path) -> list[str]:
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return [line.strip() for line in read_text(file).splitlines() if line.strip()]
    for file in (folder / "data.yaml", folder / "data.yml", folder / "dataset.yaml"):
        if file.is_file():
            content = read_yaml(file)
            names = content.get("names") if isinstance(content, Mapping) else None
            if isinstance(names, Mapping):
                names = [names[key] for key in sorted(names, key=int)]
            if isinstance(names, list) and names:
                return [str(name) for name in names]
            raise InputError(f"{file} has no list 'names' of the classes.")
    raise InputError(f"{folder} names no classes; give it a classes.txt with one name a line, or a data.yaml.")


def _images_in(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the images in a folder by their path in it, without the suffix."""
    inside = next((folder / name for name in names if (folder / name).is_dir()), None)
    if inside is None:
        raise InputError(f"{folder} has files of boxes, but no folder {' or '.join(map(repr, names))}.")
    files = sorted(path for path in inside.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    found = {path.relative_to(inside).with_suffix("").as_posix(): path for path in files}
    if len(found) < len(files):
        twice = next(path for path in files if path not in found.values())
        raise InputError(f"{twice} has the name of another image, but for its suffix; boxes could be of either.")
    return found


def _picture(pictures: Mapping[str, Path], stem: str, file: Path) -> Path:
    if stem not in pictures:
        raise InputError(f"{file} has no image of its name.")
    return pictures[stem]


def _split_of_path(path: Path) -> str | None:
    """Return the split that a folder in a path is named after."""
    return next(filter(None, (split_of_name(part) for part in path.parts[:-1])), None)


def _number(text: str | None, where: str, what: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise InputError(f"{where} has {shorten(text or 'nothing')!r} where it takes a {what} in numbers.") from None


# CSV


def boxes_of_table(
    path: Path, lines: Sequence[int], columns: Mapping[str, Sequence[str]], splits: Sequence[str]
) -> Listing:
    """Return the images of a table with a row for each object.

    Args:
        path: The table.
        lines: Line of each row.
        columns: Text of each row by column: `image`, `label` and those of the edges.
        splits: Split of each row.

    Raises:
        InputError: A row or a box is invalid, or an image is in two splits.
    """
    images: dict[str, BoxedImage] = {}
    if others := set(columns) - {"image", "label", "split", *BOX_COLUMNS}:
        raise InputError(f"{path} has boxes and the column {shorten(min(others))!r}, which is none of theirs.")
    for row, (line, name) in enumerate(zip(lines, columns["image"], strict=True)):
        where = f"{path}, line {line}"
        if not name:
            raise InputError(f"{where} has no image.")
        image = images.setdefault(name, BoxedImage(path.parent / name, splits[row], []))
        if image.split != splits[row]:
            raise InputError(f"{where} has the image {name!r} in {splits[row]}, an earlier line in {image.split}.")
        values = [columns[key][row] for key in ("label", *BOX_COLUMNS)]
        if any(values):
            if not values[0]:
                raise InputError(f"{where} has a box without a label.")
            edges = tuple(_number(text, where, key) for key, text in zip(BOX_COLUMNS, values[1:], strict=True))
            image.objects.append((values[0], edges, where))  # type: ignore[arg-type]
    return list_boxes(str(path), list(images.values()))
