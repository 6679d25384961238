"""Metrics of anomaly detection: areas under the ROC curves of images and of pixels, and decisions at the threshold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import Accumulator
from .bootstrap import intervals
from .evaluation import EPSILON, BaseEvaluation, Row

THRESHOLD = 0.5
"""Score from which on an image or a pixel is an anomaly."""
BINS, FARTHEST = 2**16, 17.0
"""Bins of the logits of pixels' scores, and the largest of these logits; a sigmoid in float32 is 1 beyond."""


@dataclass(frozen=True)
class AnomalyEvaluation(BaseEvaluation):
    """Metrics of anomaly scores on one split; `loss` is the mean cross-entropy of the images' scores, in nats."""

    SUMMARY: ClassVar = {
        "image AUROC": "image_auroc",
        "pixel AUROC": "pixel_auroc",
        "F1": "f1",
        "precision": "precision",
        "recall": "recall",
        "loss": "loss",
    }

    image_auroc: float
    """How often an image with a defect has a higher score than a good one, 0..1."""
    pixel_auroc: float | None
    """The same of the pixels in defects and of all others, of images with masks and good ones; None without masks."""
    f1: float
    """Harmonic mean of precision and recall."""
    precision: float | None
    """Share of the images with a score of 0.5 or more that have a defect; None if there are none."""
    recall: float
    """Share of the images with a defect that have a score of 0.5 or more."""
    per_class: dict[str, Row]
    """By kind of defect: `AUROC` of its images and the good ones, share of scores of 0.5 or more, images."""

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by kind of defect."""
        return self.per_class


class AnomalyAccumulator(Accumulator):
    """Accumulates an `AnomalyEvaluation`: a score for each image, and counts of pixels by their score."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._kinds: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._pixels = np.zeros((2, BINS), "int64")

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch of targets `(count, height, width)` and scores `(count, height, width, 1)`."""
        self._kinds.append(kinds_of(targets))
        self._scores.append(image_scores(outputs))
        scores = outputs[..., 0].astype("float64").clip(EPSILON, 1 - EPSILON)
        logits = np.log(scores / (1 - scores))
        bins = ((logits / FARTHEST + 1) * (BINS / 2)).astype("int64").clip(0, BINS - 1)
        for row, chosen in enumerate((targets == 0, targets > 0)):
            self._pixels[row] += np.bincount(bins[chosen], minlength=BINS)

    @property
    def _images(self) -> tuple[np.ndarray, np.ndarray]:
        """Kind of defect, 0 if there is none, and score of each image."""
        return np.concatenate(self._kinds), np.concatenate(self._scores)

    @property
    def is_defined(self) -> bool:
        """Whether there are images with and without a defect."""
        kinds, _ = self._images
        return bool(0 < (kinds > 0).sum() < len(kinds))

    def evaluation(self) -> AnomalyEvaluation:
        """Return the evaluation of all batches.

        Raises:
            InputError: All images are good, or none is.
        """
        kinds, scores = self._images
        if not self.is_defined:
            raise InputError(
                f"{'all' if kinds.any() else 'none'} of the {len(kinds)} images have a defect; image AUROC takes good "
                "ones and such with a defect."
            )
        has_defect, found = kinds > 0, scores >= THRESHOLD
        hits = int((has_defect & found).sum())
        certain = np.where(has_defect, scores, 1 - scores).astype("float64").clip(EPSILON)
        good, defective = self._pixels
        return AnomalyEvaluation(
            images=len(kinds),
            loss=float(-np.log(certain).mean()),
            intervals=intervals("image_auroc", _weighted_area(has_defect, scores), len(kinds)),
            image_auroc=self.score,
            pixel_auroc=float(_area(defective, good)) if defective.any() and good.any() else None,
            f1=float(2 * hits / (has_defect.sum() + found.sum())),
            precision=float(hits / found.sum()) if found.any() else None,
            recall=float(hits / has_defect.sum()),
            per_class={label: _of_kind(index, kinds, scores) for index, label in enumerate(self.labels)},
        )

    def errors(self) -> np.ndarray:
        """Return how far the scores are from 0 for good images and from 1 for others."""
        kinds, scores = self._images
        return np.abs((kinds > 0) - scores)

    @property
    def score(self) -> float:
        """Image AUROC; NaN where all images are good, or none is."""
        return float(self.scores.mean())

    @property
    def scores(self) -> np.ndarray:
        """Share of the images of the other sort that are ranked rightly relative to each image, weighted so that both
        sorts count the same."""
        kinds, scores = self._images
        if not self.is_defined:
            return np.full(len(kinds), np.nan)
        shares = np.empty(len(kinds))
        for own, sign in ((kinds > 0, 1), (kinds == 0, -1)):
            others = np.sort(sign * scores[~own])
            below, up_to = (np.searchsorted(others, sign * scores[own], side) for side in ("left", "right"))
            shares[own] = (below + up_to) / (2 * len(others)) * len(kinds) / (2 * own.sum())
        return shares

    def loss_against(self, reference: Self) -> float | None:
        """Return the loss of image AUROC; None where it is not defined."""
        return super().loss_against(reference) if self.is_defined else None


def image_scores(outputs: np.ndarray) -> np.ndarray:
    """Return the highest score of each image, `(count,)`."""
    return outputs.reshape(len(outputs), -1).max(axis=1)


def kinds_of(targets: np.ndarray) -> np.ndarray:
    """Return the kind of defect of each image, 0 for good ones; of several kinds, that of the highest index."""
    return np.abs(targets).reshape(len(targets), -1).max(axis=1)


def best_threshold(has_defect: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold of the highest F1, in the middle between two scores.

    Args:
        has_defect: Bool, `(images,)`, some of them True.
        scores: `(images,)`, higher for defects.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(has_defect[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + has_defect.sum())
    ordered = np.append(scores[order], scores.min() - 1)
    f1[ordered[:-1] == ordered[1:]] = -1  # images of equal score are found together
    last = int(f1.argmax())
    return float(ordered[last : last + 2].mean())


def _of_kind(index: int, kinds: np.ndarray, scores: np.ndarray) -> Row:
    own, good = scores[kinds == index], scores[kinds == 0]
    return {
        "AUROC": float((own[:, np.newaxis] > good).mean() + (own[:, np.newaxis] == good).mean() / 2)
        if index and len(own)
        else None,
        "above threshold": float((own >= THRESHOLD).mean()) if len(own) else None,
        "support": float(len(own)),
    }


def _area(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of counts by score, in ascending order; each row of several is weighted."""
    below = np.cumsum(negative, axis=0) - negative
    pairs = (positive * (below + negative / 2)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return pairs / (positive.sum(axis=0) * negative.sum(axis=0).astype("float64"))


def _weighted_area(has_defect: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the area under the ROC curve as a function of weights `(images, resamples)`."""
    order = np.argsort(scores, kind="stable")
    groups = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def area(weights: np.ndarray) -> np.ndarray:
        ordered, positive = weights[order].astype("float64"), has_defect[order, np.newaxis]
        counts = [np.add.reduceat(ordered * part, groups) for part in (positive, ~positive)]
        return _area(*counts)

    return area
