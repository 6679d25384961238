"""Datasets from arrays in memory, checked and split as files are."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError, unknown
from ...core.outputs import by_name, map_outputs
from ...zoo.image_files import MODES
from .images import ArrayImages, ImageData, ImageSplit
from .listing import Listing, Target
from .partition import partition

SOURCE = "arrays"


@dataclass(frozen=True)
class Form:
    """What the targets of a task look like."""

    kinds: str
    """NumPy's letters of what is taken."""
    dimensions: int
    dtype: str
    """What training takes."""
    text: str


FORMS = {
    "classification": Form("iu", 1, "int32", "whole numbers (count,)"),
    "multi_label": Form("iufb", 2, "float32", "0 and 1, (count, labels)"),
    "regression": Form("iuf", 2, "float32", "numbers (count,) or (count, numbers)"),
    "segmentation": Form("iu", 3, "int32", "whole numbers (count, height, width)"),
}
Arrays = np.ndarray | dict[str, np.ndarray]


def from_arrays(
    images: np.ndarray,
    targets: Arrays,
    *,
    labels: Sequence[str] | dict[str, Sequence[str]] | None = None,
    task: str | dict[str, str] = "classification",
    validation: tuple[np.ndarray, Arrays] | None = None,
    test: tuple[np.ndarray, Arrays] | None = None,
    seed: int = 0,
) -> ImageData:
    """A dataset of images in memory.

    What is not given of `validation` (10 %) and `test` (20 %) is taken from `images`, by class where there are classes;
    copies of an image stay together.

    Args:
        images: uint8 0..255 of shape `(count, height, width, channels)`, grey or RGB, or `(count, height, width)`.
        targets: What is to be answered to each: class indices `(count,)`, rows of 0 and 1 `(count, labels)`, finite
            numbers `(count,)` or `(count, numbers)`, or masks `(count, height, width)`. A dict of these by name for
            several outputs.
        labels: Names of the classes, labels or numbers; by default they are counted. A dict for several outputs.
        task: `"classification"`, `"multi_label"`, `"regression"` or `"segmentation"`; a dict for several outputs.
        validation: Images and targets to choose by, if they are not to be taken from `images`.
        test: Images and targets for the final figures, as `validation`.
        seed: Of the split.

    Raises:
        InputError: An array is not as said here, an image is in two splits, or a class has too few.
    """
    given = {"train": (images, targets), "validation": validation, "test": test}
    parts = {name: part for name, part in given.items() if part is not None}
    pixels = _joined({name: _images(name, part[0]) for name, part in parts.items()}, "images")
    splits = np.repeat(list(parts), [len(part[0]) for part in parts.values()])

    def target(of_task: str, output: str = "") -> Target:
        of_output = {name: _of_output(name, part[1], output) for name, part in parts.items()}
        for name, (part, _) in parts.items():
            if len(part) != len(of_output[name]):
                raise InputError(f"{name} has {len(part)} images and {len(of_output[name])} targets; it takes as many.")
        rows = _joined({name: _rows(name, rows, of_task) for name, rows in of_output.items()}, "targets")
        if of_task == "segmentation" and rows.shape[1:] != pixels.shape[1:3]:
            raise InputError(f"targets of the shape {rows.shape} do not go with images of the shape {pixels.shape}.")
        return Target(of_task, _labels(rows, of_task, by_name(labels).get(output)), rows)

    found = {name: target(of_task, name) for name, of_task in by_name(task).items()}
    listing = Listing(SOURCE, _Numbered(pixels, np.arange(len(pixels))), found.get("", found), splits)
    contents = [hashlib.sha256(image).digest() for image in pixels]
    return ImageData(
        SOURCE,
        map_outputs(lambda target: target.labels, listing.targets),
        *(
            ImageSplit(ArrayImages(part.images.pixels), map_outputs(lambda target: target.rows, part.targets))
            for part in partition(listing, contents, missing=listing.missing, seed=seed)
        ),
        task=task,
    )


class _Numbered:
    """Images in memory that messages call by their number."""

    def __init__(self, pixels: np.ndarray, numbers: np.ndarray):
        self.pixels = pixels
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, row: int) -> str:
        return f"image {self._numbers[row]}"

    def at(self, rows: np.ndarray) -> "_Numbered":
        return _Numbered(self.pixels[rows], self._numbers[rows])


def _images(split: str, images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise InputError(f"the images of {split} are {images.dtype}; they take whole numbers 0..255, uint8.")
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in MODES or 0 in images.shape:
        raise InputError(
            f"the images of {split} have the shape {images.shape}; they take (count, height, width, channels) with 1 "
            "(grey) or 3 (RGB) channels."
        )
    return images


def _of_output(split: str, targets: Arrays, output: str) -> np.ndarray:
    if by_name(targets).keys() >= {output}:
        return np.asarray(by_name(targets)[output])
    names = ", ".join(name or "one without a name" for name in by_name(targets))
    raise InputError(f"the targets of {split} are of {names}; task asks for {output or 'one without a name'}.")


def _rows(split: str, rows: np.ndarray, task: str) -> np.ndarray:
    """`rows` as training takes them."""
    if task not in FORMS:
        raise unknown("task", task, FORMS)
    form = FORMS[task]
    rows = rows[:, np.newaxis] if task == "regression" and rows.ndim == 1 else rows
    if rows.ndim != form.dimensions or rows.dtype.kind not in form.kinds:
        raise InputError(
            f"the targets of {split} are {rows.dtype} of the shape {rows.shape}; a {task} takes {form.text}."
        )
    if not np.isfinite(rows).all():
        raise InputError(f"the targets of {split} have a value that is no finite number.")
    if task == "multi_label" and not np.isin(rows, (0, 1)).all():
        raise InputError(f"the targets of {split} have other values than 0 and 1; a {task} takes {form.text}.")
    return rows.astype(form.dtype)


def _joined(by_split: dict[str, np.ndarray], what: str) -> np.ndarray:
    shapes = {split: part.shape[1:] for split, part in by_split.items()}
    for split, shape in shapes.items():
        if shape != shapes["train"]:
            raise InputError(f"the {what} of {split} have the shape {shape}, those of train {shapes['train']}.")
    return np.concatenate(list(by_split.values()))


def _labels(rows: np.ndarray, task: str, names: Sequence[str] | None) -> tuple[str, ...]:
    """Their names, counted where nobody named them."""
    is_class = task in ("classification", "segmentation")
    if is_class and rows.min() < 0:
        raise InputError(f"the targets have the class {rows.min()}; classes go from 0 on.")
    count = max(int(rows.max()) + 1, 2) if is_class else rows.shape[1]
    names = tuple(map(str, range(count) if names is None else names))
    if len(names) < count or (len(names) > count and not is_class):
        raise InputError(f"labels names {len(names)}, but the targets have {count}.")
    return names
