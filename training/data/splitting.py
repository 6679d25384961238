"""Which images train, which choose, and which give the final figures."""

import hashlib
from collections.abc import Sequence

import numpy as np

VALIDATION, TEST = 0.1, 0.2
"""Shares that are kept for choosing and for the final figures, where the user has not split the images."""
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""What folders and columns call the splits."""


def split_stratified(
    labels: np.ndarray, contents: Sequence[bytes], *, validation: float, test: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of train, validation and test: disjoint, together all, each with these shares of every class.

    Where an image goes follows from the rank of its content's hash in its class. So copies of an image stay together,
    and a photo that is added or taken away moves at most one other across each border, from train to validation or from
    there to test: what was trained on does not turn up in the test split of the next command.

    Args:
        labels: Class index of each image.
        contents: What tells each image from another (its bytes, or a hash of them); every class has a different one for
            each part that gets some.
        validation: Share of the whole, 0..1; at least one of every class, unless it is 0.
        test: Share of the whole, as `validation`.
        seed: Of the choice.
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
    """A number below 2**64 that looks random."""
    return int.from_bytes(hashlib.sha256(b"%d " % seed + content).digest()[:8], "big")


def complete_splits(
    given: np.ndarray, strata: np.ndarray, contents: Sequence[bytes], *, missing: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """Indices by split: those that `given` has, and the `missing` ones taken out of its train images.

    Args:
        given: Split of each image, of `SPLITS`.
        strata: Class index of each image; every class is shared out for itself.
        contents: As in `split_stratified`.
        missing: Which of validation (10 % of train) and test (20 %) to take.
        seed: Of the choice.
    """
    pool = np.flatnonzero(given == "train")
    shares = {name: share if name in missing else 0 for name, share in (("validation", VALIDATION), ("test", TEST))}
    taken = split_stratified(strata[pool], [contents[row] for row in pool], seed=seed, **shares)
    rows = {name: pool[part] for name, part in zip(SPLITS, taken, strict=True)}
    return rows | {name: np.flatnonzero(given == name) for name in SPLITS[1:] if name not in missing}
