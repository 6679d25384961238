"""From a listing of files to a dataset: each file is read once and validated before training begins."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import track

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...zoo.image_files import decode_image
from .images import FileImages, ImageData, ImageSplit, Shape
from .listing import Listing, Lost, Target
from .partition import partition

OnUnreadable = Literal["raise", "skip"]


def read_listing(listing: Listing, shape: Shape, *, seed: int, on_unreadable: OnUnreadable) -> ImageData:
    """Return the dataset of a listing whose images are files, with images of `shape`.

    Missing splits are stratified by the classes of the (first) classification, if there is one.

    Raises:
        InputError: A file cannot be used and is not to be skipped, an image is in two splits, or a class has too few.
    """
    if listing.empty:
        raise InputError(next(iter(listing.empty.values())))
    contents, bad = read_all(listing, shape)
    lost = (*listing.lost, *bad.values())
    if lost and on_unreadable == "raise":
        raise InputError(
            f"{listing.source}: {len(lost)} of {len(listing) + len(listing.lost)} images cannot be read, first "
            f"{lost[0].error} Remove them, or skip them (on_unreadable='skip', --skip-unreadable)."
        )
    good = [row for row in range(len(listing)) if row not in bad]
    usable = listing.at(np.array(good, int))
    usable = replace(usable, targets=map_outputs(lambda target: _with_labels(target, listing.source), usable.targets))
    parts = partition(usable, [contents[row] for row in good], missing=listing.missing, seed=seed)

    def split(part: Listing) -> ImageSplit:
        targets = map_outputs(lambda target: target.as_targets(*shape[:2]), part.targets)
        return ImageSplit(FileImages(part.images, shape), targets)

    return ImageData(
        listing.source,
        map_outputs(lambda target: target.labels, usable.targets),
        *map(split, parts),
        skipped=tuple(image.name for image in lost),
        task=map_outputs(lambda target: target.task, usable.targets),
        interpretation=listing.interpretation,
    )


def read_all(listing: Listing, shape: Shape) -> tuple[list[bytes | None], dict[int, Lost]]:
    """Decodes every file, so that training does not stop at a damaged one hours later.

    Returns:
        Hash of each image file, and by row the images that cannot be used, or whose target in a file cannot.
    """
    height, width, channels = shape
    in_files = [target for target in by_name(listing.targets).values() if target.in_files]
    bad: dict[int, Lost] = {}

    def read(row: int) -> bytes | None:
        try:
            encoded = listing.images.read(row)
            decode_image(encoded, listing.images.name(row), height=height, width=width, channels=channels)
            for target in in_files:
                target.check_file(target.decode(row), row, encoded)
            return hashlib.sha256(encoded).digest()
        except InputError as error:
            bad[row] = Lost(listing.images.name(row), str(listing.splits[row]), error)
            return None

    contents = for_each(read, range(len(listing)), "Reading images")
    return contents, dict(sorted(bad.items()))


def for_each(function: Callable, rows: Sequence[int], description: str) -> list:
    """Return the results of `function` for each row, in parallel; many rows show a progress bar on standard error."""
    console = Console(stderr=True, quiet=len(rows) < 500)
    with ThreadPool() as pool:  # in chunks: a future for each of 100,000 files would take 200 MB
        return list(track(pool.imap(function, rows, chunksize=16), description, total=len(rows), console=console))


def _with_labels(target: Target, source: str) -> Target:
    """Names classes without names in files of masks by the indices that occur in them."""
    if target.labels is not None:
        return target
    values = for_each(lambda row: np.unique(target.decode(row)).tolist(), range(len(target.rows)), "Classes")
    found = sorted(set().union(*values))
    if len(found) < 2 or found != list(range(len(found))):
        values = ", ".join(map(str, found)) or "none"
        raise InputError(
            f"{source}: the masks have the values {values}; they are class indices, from 0 on. Where a class is in no "
            "mask, name all classes in a labels.txt beside the table."
        )
    return replace(target, labels=tuple(map(str, found)))
