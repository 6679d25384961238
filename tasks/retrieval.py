"""How well embeddings find images of the same class (retrieval), and tell whether two are of one (verification)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .ranking import area_under_roc

CHUNK = 2**22
"""Similarities that are computed at once, which bounds the memory."""
RANKED_QUERIES = 4096
"""Most images whose average precision is computed, which sorts all others by similarity."""
MOST_PAIRS = 2**20
"""Most pairs of images that are compared; of more, as many of one class as of two are drawn."""
FALSE_ACCEPT_RATES = np.logspace(-4, 0, 81)
"""False accept rates, 0..1, at which the ROC curve is drawn."""
ALONE = -2.0
"""In place of a cosine similarity where there is no other image: below all of them."""


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 in their directions, float32 `(count, length)`; zeros stay zeros."""
    vectors = vectors.astype("float64")
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype("float32")


@dataclass(frozen=True)
class Retrieval:
    """Search for each image among all others, by cosine similarity.

    Of images that are equally similar, those of other classes come first: a model whose outputs are all the same finds
    nothing.
    """

    classes: np.ndarray
    """Class of each image, `(images,)`."""
    vectors: np.ndarray
    """Embedding of each image, of length 1, `(images, length)`."""
    same: np.ndarray
    """Similarity to the nearest other image of the same class, `(images,)`; `ALONE` where there is none."""
    other: np.ndarray
    """Similarity to the nearest image of another class, `(images,)`; `ALONE` where there is none."""
    rank: np.ndarray
    """Position of the first image of the same class among all others, from 1 on, `(images,)`."""

    @classmethod
    def of(cls, classes: np.ndarray, vectors: np.ndarray) -> "Retrieval":
        """Search with class indices `(images,)` and embeddings `(images, length)` of any length."""
        vectors = unit_vectors(vectors)
        parts = [cls._search(classes, vectors, rows) for rows in _chunks(len(classes))]
        return cls(classes, vectors, *(np.concatenate(column) for column in zip(*parts, strict=True)))

    @staticmethod
    def _search(classes: np.ndarray, vectors: np.ndarray, rows: slice) -> tuple[np.ndarray, ...]:
        similarities, is_same, is_other = _compared(classes, vectors, rows)
        same = np.where(is_same, similarities, ALONE).max(axis=1)
        other = np.where(is_other, similarities, ALONE).max(axis=1)
        return same, other, 1 + (is_other & (similarities >= same[:, np.newaxis])).sum(axis=1)

    @property
    def queries(self) -> np.ndarray:
        """Which images have another one of their class to be found, bool `(images,)`."""
        return self.same > ALONE

    @property
    def is_defined(self) -> bool:
        """Whether there is something to be found, and something else to be found instead."""
        return bool((self.queries & (self.other > ALONE)).any())

    @cached_property
    def average_precision(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of at most `RANKED_QUERIES` images, drawn from all queries, and the average precision of each."""
        rows = np.flatnonzero(self.queries)
        if len(rows) > RANKED_QUERIES:
            rows = np.sort(np.random.default_rng(0).choice(rows, RANKED_QUERIES, replace=False))
        return rows, np.array([self._average_precision(row) for row in rows.tolist()])

    def _average_precision(self, row: int) -> float:
        similarities, is_same, is_other = (
            part[0] for part in _compared(self.classes, self.vectors, slice(row, row + 1))
        )
        found, others = -np.sort(-similarities[is_same]), np.sort(similarities[is_other])
        ahead = len(others) - np.searchsorted(others, found, side="left")
        numbers = np.arange(1, len(found) + 1)
        return float((numbers / (numbers + ahead)).mean())

    def nearest(self, row: int, count: int) -> np.ndarray:
        """Return the rows of the images that are nearest to one of them, the nearest first."""
        similarities = self.vectors @ self.vectors[row]
        similarities[row] = -np.inf
        return np.argsort(-similarities, kind="stable")[: min(count, len(similarities) - 1)]


@dataclass(frozen=True)
class Verification:
    """Whether two images are of one class, decided by a threshold on their cosine similarity."""

    positive: np.ndarray
    """Similarities of pairs of one class, `(pairs,)`."""
    negative: np.ndarray
    """Similarities of pairs of two classes, `(pairs,)`."""

    @classmethod
    def of(cls, classes: np.ndarray, vectors: np.ndarray) -> "Verification":
        """Compare all pairs of images, or `MOST_PAIRS` that are drawn, always the same; vectors have length 1."""
        if len(classes) * (len(classes) - 1) // 2 <= MOST_PAIRS:
            first, second = np.triu_indices(len(classes), 1)
        else:
            random = np.random.default_rng(0)
            parts = _pairs_of_one_class(random, classes), _pairs_of_two_classes(random, classes)
            first, second = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        similarities = np.concatenate(
            [
                np.einsum("ij,ij->i", vectors[first[rows]], vectors[second[rows]])
                for rows in _chunks(len(first), vectors.shape[1])
            ]
        )
        is_same = classes[first] == classes[second]
        return cls(similarities[is_same], similarities[~is_same])

    @property
    def roc_auc(self) -> float | None:
        """Area under the ROC curve, 0..1; None without pairs of both kinds."""
        similarities = np.concatenate([self.positive, self.negative])
        return area_under_roc(np.arange(len(similarities)) < len(self.positive), similarities)

    def true_accept_rate(self, false_accept_rate: float) -> float | None:
        """Return the share of pairs of one class that are accepted where at most that share of the others is.

        Returns:
            None where there are no pairs of one class, or too few others for such a rate.
        """
        allowed = int(false_accept_rate * len(self.negative) + 1e-9)
        if not allowed or not len(self.positive):
            return None
        if allowed == len(self.negative):
            return 1.0
        threshold = np.partition(self.negative, len(self.negative) - allowed - 1)[len(self.negative) - allowed - 1]
        return float(np.mean(self.positive > threshold))


def _compared(classes: np.ndarray, vectors: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the similarities of some images to all, and which of these are others of the same and of other classes."""
    similarities = vectors[rows] @ vectors.T
    is_same = classes[rows, np.newaxis] == classes
    is_other = ~is_same
    numbers = np.arange(len(classes))[rows]
    is_same[np.arange(len(numbers)), numbers] = False
    return similarities, is_same, is_other


def _chunks(count: int, length: int | None = None) -> list[slice]:
    step = max(1, CHUNK // max(1, count if length is None else length))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _pairs_of_one_class(random: np.random.Generator, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order, counts = np.argsort(classes, kind="stable"), np.bincount(classes)
    starts, pairs = np.cumsum(counts) - counts, counts * (counts - 1) / 2
    if not pairs.any():
        return order[:0], order[:0]
    drawn = random.choice(len(counts), MOST_PAIRS // 2, p=pairs / pairs.sum())
    first = random.integers(counts[drawn])
    second = (first + 1 + random.integers(counts[drawn] - 1)) % counts[drawn]
    return order[starts[drawn] + first], order[starts[drawn] + second]


def _pairs_of_two_classes(random: np.random.Generator, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = random.integers(len(classes), size=(2, MOST_PAIRS // 2))
    differ = classes[first] != classes[second]
    return first[differ], second[differ]
