"""Stratified splits into train, validation and test, by the content of the images."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ...core.errors import InputError

VALIDATION, TEST = 0.1, 0.2
"""Shares of validation and test, where the user has not split the images."""
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Names of the splits in folders and columns."""


def split_stratified(
    labels: np.ndarray, contents: Sequence[bytes], *, validation: float, test: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the indices of train, validation and test: disjoint and complete, each with its share of every class.

    The split of an image follows from the rank of its content's hash in its class. So copies of an image stay together,
    and a photo that is added or removed moves at most one other from train to validation and one from there to test:
    training images do not turn up in the test split of the next command.

    Args:
        labels: Class index of each image.
        contents: Content of each image (its bytes, or a hash of them); every class has at least one different image for
            each split.
        validation: Share of all images, 0..1; at least one of every class, unless it is 0.
        test: Share of all images, as `validation`.
        seed: Seed for the split.
    """
    ranks = np.array([_rank(content, seed) for content in contents], "uint64")
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        different = np.unique(ranks[members])  # sorted
        in_test, in_validation = (max(1, round(share * len(different))) if share else 0 for share in (test, validation))
        ends = [in_test, in_test + in_validation]
        for part, chosen in zip(reversed(parts), np.split(different, ends), strict=True):
            part.append(members[np.isin(ranks[members], chosen)])
    train_part, validation_part, test_part = (np.sort(np.concatenate(part)) for part in parts)
    return train_part, validation_part, test_part


def order_splits(splits: np.ndarray) -> np.ndarray:
    """Return the splits of rows in the order of time, of which the missing ones are the ends of train.

    Raises:
        InputError: Train is too short, or a split has rows before those of the split before it.
    """
    names = [name for name in SPLITS if name in splits]
    result, rows = splits.astype("<U10"), np.flatnonzero(splits == "train")
    shares = {"test": TEST, "validation": VALIDATION}
    for name, share in shares.items():  # from the end
        if name not in names:
            count = max(1, round(share * np.count_nonzero(splits == "train")))
            result[rows[-count:]], rows = name, rows[:-count]
    if not len(rows):
        raise InputError(f"{len(splits)} rows in the order of time are too few for train, validation and test.")
    ends = [np.flatnonzero(result == name) for name in SPLITS]
    if any(before[-1] > after[0] for before, after in pairwise(ends)):
        raise InputError("in the order of time, all rows of train come first, then validation, then the test.")
    return result


def ordered_folds(rows: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows for train and for validation of each of `count` folds: one part after all that come before it.

    There is one more part than folds, since the first one has nothing before it.

    Raises:
        InputError: There are fewer rows than parts.
    """
    if rows < count + 1:
        raise InputError(f"{rows} rows in the order of time are too few for {count} folds; give {count + 1} or more.")
    ends = np.linspace(0, rows, count + 2).round().astype(int)
    return [(np.arange(start), np.arange(start, end)) for start, end in pairwise(ends[1:])]


def _rank(content: bytes, seed: int) -> int:
    """Return a pseudorandom number below 2**64."""
    return int.from_bytes(hashlib.sha256(b"%d " % seed + content).digest()[:8], "big")


def complete_splits(
    existing: np.ndarray, strata: np.ndarray, contents: Sequence[bytes], *, missing: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """Return the indices by split: existing splits are kept, and the `missing` ones are taken from the train images.

    Args:
        existing: Split of each image, of `SPLITS`.
        strata: Class index of each image; every class is split separately.
        contents: As in `split_stratified`.
        missing: Which of validation (10 % of train) and test (20 %) to take.
        seed: Seed for the split.
    """
    pool = np.flatnonzero(existing == "train")
    shares = {name: share if name in missing else 0 for name, share in (("validation", VALIDATION), ("test", TEST))}
    taken = split_stratified(strata[pool], [contents[row] for row in pool], seed=seed, **shares)
    rows = {name: pool[part] for name, part in zip(SPLITS, taken, strict=True)}
    return rows | {name: np.flatnonzero(existing == name) for name in SPLITS[1:] if name not in missing}
