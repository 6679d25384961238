"""Stratified splits into train, validation and test, by the content of the images."""

import hashlib
from collections.abc import Sequence

import numpy as np

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
