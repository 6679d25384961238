"""From the list of files that a folder or a table names to a dataset: each file is read once, and all is checked."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import track

from ...zoo.errors import InputError
from ...zoo.pixels import read_image
from ..outputs import by_name, map_outputs
from .images import FileImages, ImageData, ImageSplit, Shape, Targets
from .masks import FileMasks, check_mask, read_mask
from .splitting import SPLITS, complete_splits

OnUnreadable = Literal["raise", "skip"]


@dataclass(frozen=True)
class Target:
    """What one output is to answer to the images of a listing."""

    task: str
    labels: tuple[str, ...] | None
    """Names of classes or numbers; None for masks whose classes nobody named."""
    rows: np.ndarray
    """One an image: as in `data.Targets`, but the paths of masks."""

    def as_targets(self, height: int, width: int) -> Targets:
        """As training takes them, masks brought to that size."""
        return FileMasks(self.rows, height, width) if self.task == "segmentation" else self.rows


@dataclass(frozen=True)
class Listing:
    """What a folder or a table names."""

    source: str
    images: np.ndarray
    """Paths."""
    targets: Target | dict[str, Target]
    splits: np.ndarray
    """Of each image: `"train"`, `"validation"` or `"test"`; where one of the last two has none, train gives some."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def at(self, rows: np.ndarray) -> "Listing":
        """What it names in these rows."""
        targets = map_outputs(lambda target: replace(target, rows=target.rows[rows]), self.targets)
        return replace(self, images=self.images[rows], targets=targets, splits=self.splits[rows])


def read_listing(listing: Listing, shape: Shape, *, seed: int, on_unreadable: OnUnreadable) -> ImageData:
    """The dataset of `listing` with images of `shape`.

    Where splits are missing they are stratified by the classes of the (first) classification, if there is one.

    Raises:
        InputError: A file cannot be used and is not to be skipped, an image is in two splits, or a class has too few.
    """
    contents, bad = _read_all(listing, shape)
    if bad and on_unreadable == "raise":
        raise InputError(
            f"{listing.source}: {len(bad)} of {len(listing)} images cannot be read, first {next(iter(bad.values()))} "
            "Remove them, or leave them out (on_unreadable='skip', --skip-unreadable)."
        )
    good = [row for row in range(len(listing)) if row not in bad]
    usable = listing.at(np.array(good, int))
    usable = replace(usable, targets=map_outputs(lambda target: _with_classes(target, listing.source), usable.targets))
    missing = [name for name in SPLITS if name not in listing.splits]
    parts = _split(usable, [contents[row] for row in good], missing, seed)

    def split(part: Listing) -> ImageSplit:
        targets = map_outputs(lambda target: target.as_targets(*shape[:2]), part.targets)
        return ImageSplit(FileImages(part.images, shape), targets)

    return ImageData(
        listing.source,
        map_outputs(lambda target: target.labels, usable.targets),
        *map(split, parts),
        skipped=tuple(str(listing.images[row]) for row in bad),
        task=map_outputs(lambda target: target.task, usable.targets),
    )


def _read_all(listing: Listing, shape: Shape) -> tuple[list[bytes | None], dict[int, InputError]]:
    """Decodes every file, so that training does not stop at a damaged one hours later.

    Gives the hash of each image file, and by row what is wrong with an image or its mask.
    """
    height, width, channels = shape
    masks = [target for target in by_name(listing.targets).values() if target.task == "segmentation"]
    bad: dict[int, InputError] = {}

    def read(row: int) -> bytes | None:
        path = listing.images[row]
        try:
            read_image(path, height=height, width=width, channels=channels)
            for target in masks:
                check_mask(target.rows[row], path, target.labels and len(target.labels))
            return hashlib.sha256(path.read_bytes()).digest()
        except InputError as error:
            bad[row] = error
            return None

    contents = _for_each(read, range(len(listing)), "Reading images")
    return contents, dict(sorted(bad.items()))


def _for_each(function: Callable, items: Iterable, description: str) -> list:
    items = list(items)
    console = Console(stderr=True, quiet=len(items) < 500)
    with ThreadPoolExecutor() as pool:
        return list(track(pool.map(function, items), description, total=len(items), console=console))


def _with_classes(target: Target, source: str) -> Target:
    """Masks whose classes nobody named have those that are found in them, named by their index."""
    if target.labels is not None:
        return target
    found = sorted(set().union(*_for_each(lambda path: np.unique(read_mask(path)).tolist(), target.rows, "Classes")))
    if len(found) < 2 or found != list(range(len(found))):
        values = ", ".join(map(str, found)) or "none"
        raise InputError(
            f"{source}: the masks have the values {values}; they are class indices, from 0 on. Where a class is in no "
            "mask, name all classes in a labels.txt beside the table."
        )
    return replace(target, labels=tuple(map(str, found)))


def _split(listing: Listing, contents: list[bytes], missing: list[str], seed: int) -> list[Listing]:
    """The parts for train, validation and test, checked."""
    strata = next((t for t in by_name(listing.targets).values() if t.task == "classification"), None)
    _check_counts(listing, strata, contents, least=1 + len(missing))
    classes = np.zeros(len(listing), int) if strata is None else strata.rows
    rows = complete_splits(listing.splits, classes, contents, missing=missing, seed=seed)
    _check_classes(listing, strata, rows)
    _check_disjoint(listing, contents, rows)
    return [listing.at(rows[name]) for name in SPLITS]


def _check_counts(listing: Listing, strata: Target | None, contents: list[bytes], least: int) -> None:
    """There are enough different images in train to give every split one of each class."""
    in_train = listing.splits == "train"
    rule = f"different readable images{' in train' if least < 3 else ''}; "
    if strata is None:
        count = len({contents[row] for row in np.flatnonzero(in_train)})
        if count < least:
            raise InputError(f"{listing.source} has {count} {rule}it takes {least} or more.")
        return
    for label, name in enumerate(strata.labels):
        count = len({contents[row] for row in np.flatnonzero(in_train & (strata.rows == label))})
        if count < least:
            raise InputError(f"{listing.source}: class {name!r} has {count} {rule}every class takes {least} or more.")


def _check_classes(listing: Listing, strata: Target | None, rows: dict[str, np.ndarray]) -> None:
    """Every split has images, and of every class that it is stratified by; other classes and labels are in train."""
    for split, of_split in rows.items():
        if not len(of_split):
            raise InputError(f"{listing.source}: {split} has no readable images.")
        for name, target in by_name(listing.targets).items():
            if target is not strata and (split != "train" or target.task not in ("classification", "multi_label")):
                continue
            there = target.rows[of_split]
            has = there.any(axis=0) if there.ndim == 2 else np.isin(np.arange(len(target.labels)), there)
            lacking = [label for label, here in zip(target.labels, has, strict=True) if not here]
            if lacking:
                output = f" (output {name})" if name else ""
                raise InputError(f"{listing.source}: {split} has no readable image of {', '.join(lacking)}{output}.")


def _check_disjoint(listing: Listing, contents: list[bytes], rows: dict[str, np.ndarray]) -> None:
    """No image is in two splits: a model would be judged by what it was trained on."""
    first: dict[bytes, tuple[str, int]] = {}
    pairs = []
    for split, of_split in rows.items():
        for row in of_split:
            known, other = first.setdefault(contents[row], (split, row))
            if known != split:
                pairs.append(f"{listing.images[other]} ({known}) and {listing.images[row]} ({split})")
    if pairs:
        raise InputError(
            f"{listing.source}: {len(pairs)} images are also in another split, such as {pairs[0]}; the figures would "
            "lie. Remove the copies."
        )
