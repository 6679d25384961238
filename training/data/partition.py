"""The images of a listing shared out to train, validation and test, and checks that this can be trained on."""

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name
from .listing import Listing, Target
from .splitting import SPLITS, complete_splits


def partition(listing: Listing, contents: list[bytes], *, missing: list[str], seed: int) -> list[Listing]:
    """The parts for train, validation and test; no image is in two of them, and every class in all.

    What is missing is stratified by the classes of the (first) classification, if there is one.

    Args:
        listing: Whole and readable.
        contents: What tells each image from another.
        missing: The splits to be taken out of train.
        seed: Of the choice.

    Raises:
        InputError: An image is in two splits, or a class has too few.
    """
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
                pairs.append(f"{listing.images.name(other)} ({known}) and {listing.images.name(row)} ({split})")
    if pairs:
        raise InputError(
            f"{listing.source}: {len(pairs)} images are also in another split, such as {pairs[0]}; the figures would "
            "lie. Remove the copies."
        )
