"""Splits the images of a listing into train, validation and test, and checks that these can be used."""

from collections.abc import Sequence

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name
from ...tasks.registry import get_task
from .listing import Listing, Lost, Target
from .splitting import SPLITS, complete_splits


def partition(listing: Listing, contents: list[bytes], *, missing: list[str], seed: int) -> list[Listing]:
    """Return the parts for train, validation and test; no image is in two of them, and every class is in all.

    Missing splits are stratified by the classes of the (first) classification, if there is one.

    Args:
        listing: Complete and readable images.
        contents: Hash of each image.
        missing: Splits to be taken from train.
        seed: Seed for the split.

    Raises:
        InputError: An image is in two splits or two classes, or a class has too few.
    """
    strata = find_strata(listing.targets)
    _check_counts(listing, strata, contents, least=1 + len(missing))
    classes = np.zeros(len(listing), int) if strata is None else strata.rows
    rows = complete_splits(listing.splits, classes, contents, missing=missing, seed=seed)
    _check_classes(listing, strata, rows)
    _check_consistent(listing, contents)
    _check_disjoint(listing, contents, rows)
    return [listing.at(rows[name]) for name in SPLITS]


def contradictions(listing: Listing, contents: list[bytes], rows: Sequence[int]) -> dict[int, Lost]:
    """Return the images of which a copy is of another class in the first classification, by row, with the reason.

    Args:
        listing: The images.
        contents: Hash of each image, equal for copies.
        rows: Rows of the images that can be used.
    """
    strata = find_strata(listing.targets)
    if strata is None or strata.labels is None or not isinstance(strata.rows, np.ndarray):
        return {}
    by_content: dict[bytes, list[int]] = {}
    for row in rows:
        by_content.setdefault(contents[row], []).append(row)
    found = {}
    for copies in by_content.values():
        first = copies[0]
        second = next((row for row in copies if strata.rows[row] != strata.rows[first]), None)
        if second is None:
            continue
        for row in copies:
            other = second if strata.rows[row] == strata.rows[first] else first
            both = [f"{listing.images.name(n)} ({strata.labels[strata.rows[n]]})" for n in (row, other)]
            error = InputError(f"{both[0]} has the same pixels as {both[1]}.")
            found[row] = Lost(listing.images.name(row), str(listing.splits[row]), error)
    return found


def find_strata(targets: Target | dict[str, Target]) -> Target | None:
    """Return the first target with one class for each image, by which splits are stratified."""
    return next((target for target in by_name(targets).values() if get_task(target.task).one_class_per_image), None)


def _check_counts(listing: Listing, strata: Target | None, contents: list[bytes], least: int) -> None:
    """Raises InputError where train has too few different images to give every split one of each class."""
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
    """Raises InputError where a split is empty or has no image of a stratum, or train none of a class or label."""
    for split, in_split in rows.items():
        if not len(in_split):
            raise InputError(f"{listing.source}: {split} has no readable images.")
        for name, target in by_name(listing.targets).items():
            task = get_task(target.task)
            if task.class_unit != "images" or (split != "train" and target is not strata):
                continue
            counts = task.class_counts(target.rows[in_split], len(target.labels))
            lacking = [label for label, count in zip(target.labels, counts, strict=True) if not count]
            if lacking:
                output = f" (output {name})" if name else ""
                raise InputError(f"{listing.source}: {split} has no readable image of {', '.join(lacking)}{output}.")


def _check_consistent(listing: Listing, contents: list[bytes]) -> None:
    """Raises InputError where the same picture is in two classes."""
    found = contradictions(listing, contents, range(len(listing)))
    if found:
        raise InputError(
            f"{listing.source}: {len(found)} images have a copy in another class, such as "
            f"{next(iter(found.values())).error} Remove the wrong ones; of files, on_unreadable='skip' "
            "(--skip-unreadable) leaves all of them out."
        )


def _check_disjoint(listing: Listing, contents: list[bytes], rows: dict[str, np.ndarray]) -> None:
    """Raises InputError where an image is in two splits: a model would be evaluated on its training images."""
    first: dict[bytes, tuple[str, int]] = {}
    pairs = []
    for split, in_split in rows.items():
        for row in in_split:
            known, other = first.setdefault(contents[row], (split, row))
            if known != split:
                pairs.append(f"{listing.images.name(other)} ({known}) and {listing.images.name(row)} ({split})")
    if pairs:
        raise InputError(
            f"{listing.source}: {len(pairs)} images are also in another split, such as {pairs[0]}; the metrics would "
            "be wrong. Remove the copies."
        )
