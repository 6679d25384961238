"""What there is to know of every image of a source, each looked at once."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...zoo.image_files import decode_image
from .images import FileImages, ImageData, ImageSplit
from .listing import Listing, Target
from .masks import check_mask, decode_mask, shown_size
from .reading import for_each
from .splitting import SPLITS, complete_splits

SIDE, CHANNELS = 224, 3
"""Files are decoded to so many pixels a side and channels, as `load_data` does it by default."""


@dataclass(frozen=True)
class Look:
    """What one image is."""

    name: str
    content: bytes
    """Hash of its file, or of its pixels."""
    size: tuple[int, int]
    """Height and width, of a file as it is."""
    mean: np.ndarray
    """Of its pixels, by channel."""
    mean_square: np.ndarray
    places: dict[str, Counter[int]]
    """By output that is a segmentation: number of its mask's places by class."""


@dataclass(frozen=True)
class Inspection:
    """All images of a source that can be read."""

    source: str
    looks: list[Look]
    targets: Target | dict[str, Target]
    """In the order of `looks`."""
    splits: np.ndarray
    """Of each: `"train"`, `"validation"` or `"test"`."""
    unreadable: dict[str, str]
    """What is wrong with the others, by name."""


def inspect_listing(listing: Listing, *, seed: int) -> Inspection:
    """Looks at the files of a folder, a table or shards; splits that are missing are those that training would take.

    Raises:
        InputError: None of them can be read.
    """
    bad: dict[str, str] = {lost.name: str(lost.error) for lost in listing.lost}

    def look(row: int) -> Look | None:
        try:
            return _look_at_file(listing, row)
        except InputError as error:
            bad[listing.images.name(row)] = str(error)
            return None

    looks = for_each(look, range(len(listing)), "Reading images")
    if not any(looks):
        raise InputError(f"{listing.source}: none of {len(bad)} images can be read, first {next(iter(bad.values()))}")
    good = np.array([row for row, found in enumerate(looks) if found], int)
    usable, kept = listing.at(good), [looks[row] for row in good]
    strata = next((t.rows for t in by_name(usable.targets).values() if t.task == "classification"), None)
    rows = complete_splits(
        usable.splits,
        np.zeros(len(kept), int) if strata is None else strata,
        [found.content for found in kept],
        missing=listing.missing,
        seed=seed,
    )
    splits = np.empty(len(kept), object)
    for name, of_split in rows.items():
        splits[of_split] = name
    return Inspection(listing.source, kept, usable.targets, splits, dict(sorted(bad.items())))


def _look_at_file(listing: Listing, row: int) -> Look:
    name, encoded = listing.images.name(row), listing.images.read(row)
    pixels = decode_image(encoded, name, height=SIDE, width=SIDE, channels=CHANNELS)
    places = {}
    for output, target in by_name(listing.targets).items():
        if target.task == "segmentation":
            files = target.rows
            mask = decode_mask(files.read(row), files.name(row))
            check_mask(mask, files.name(row), encoded, target.labels and len(target.labels))
            places[output] = _places(mask)
    return _look(name, hashlib.sha256(encoded).digest(), shown_size(encoded), pixels, places)


def inspect_data(data: ImageData) -> Inspection:
    """Looks at the images of a dataset as training takes them."""
    looks: list[Look] = []
    for name in SPLITS:
        split = getattr(data, name)
        looks += for_each(partial(_look_at_row, name, split), range(len(split)), f"Reading {name}")
    splits = np.repeat(np.array(SPLITS, object), [len(getattr(data, name)) for name in SPLITS])
    return Inspection(data.source, looks, _targets(data), splits, dict.fromkeys(data.skipped, "It was left out."))


def _look_at_row(name: str, split: ImageSplit, row: int) -> Look:
    pixels = split.images.take(np.array([row]))[0]
    called = split.images.files.name(row) if isinstance(split.images, FileImages) else str(row)
    masks = {output: rows for output, rows in by_name(split.labels).items() if len(rows.shape) == 3}
    places = {output: _places(rows[np.array([row])]) for output, rows in masks.items()}
    return _look(called, hashlib.sha256(pixels).digest(), pixels.shape[:2], pixels, places)


def _targets(data: ImageData) -> Target | dict[str, Target]:
    parts = [getattr(data, name).labels for name in SPLITS]

    def joined(task: str, labels: tuple[str, ...], *rows: Any) -> Target:
        # Masks have been counted; what they are is no longer asked for.
        return Target(task, labels, np.zeros(0) if task == "segmentation" else np.concatenate(rows))

    return map_outputs(joined, data.task, data.labels, *parts)


def _look(
    name: str, content: bytes, size: tuple[int, int], pixels: np.ndarray, places: dict[str, Counter[int]]
) -> Look:
    values = pixels.reshape(-1, pixels.shape[-1]).astype("float64")
    return Look(name, content, size, values.mean(axis=0), (values**2).mean(axis=0), places)


def _places(mask: np.ndarray) -> Counter[int]:
    return Counter(dict(zip(*(found.tolist() for found in np.unique(mask, return_counts=True)), strict=True)))
