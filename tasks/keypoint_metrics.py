"""Metrics of keypoints: which are found, and how far the others are off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import VectorAccumulator
from .bootstrap import intervals
from .evaluation import EPSILON, Row, VectorEvaluation, mean_of_known

NEAR = 0.05
"""Distance, as a share of the image's sides, up to which a point counts as found."""
FALLOFF = 0.1
"""Distance over the size of the object at which the similarity of a point has fallen to 0.61; COCO's are from
0.05 (eyes) to 0.21 (hips), twice the deviation of its annotators."""


@dataclass(frozen=True)
class KeypointEvaluation(VectorEvaluation):
    """Metrics of keypoints on one split; `loss` is the default loss of a point."""

    SUMMARY: ClassVar = {"PCK": "pck", "OKS": "oks", "mean distance": "distance", "loss": "loss"}

    pck: float
    """Share of the labeled points that are predicted within 5 % of the image's sides, 0..1 (Yang, Ramanan:
    doi.org/10.1109/TPAMI.2012.261, with the image in place of the object, which also serves a single point)."""
    oks: float | None
    """Mean object keypoint similarity, 1 at best: exp(-distance**2 / (2 * (size * 0.1)**2)), where the size is the root
    of the area of the box around the labeled points (COCO, with one falloff for all points). None where no image has
    two labeled points apart."""
    distance: float
    """Mean distance of a labeled point, as a share of the image's sides."""
    per_point: dict[str, Row]
    """`pck`, `distance` and `labeled` (number of images) by name; None for a point that is never labeled."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of points, both `(images, keypoints, 3)`.

        Raises:
            InputError: No point is labeled.
        """
        labeled = targets[..., 2] > 0
        if not labeled.any():
            raise InputError("no point of the targets is labeled (visibility 1 or 2), so there is nothing to measure.")
        distance = _distances(targets, outputs)
        found, counts = (distance <= NEAR) & labeled, labeled.sum(axis=0)
        by_image = np.stack([found.sum(axis=1), labeled.sum(axis=1)])

        def pck(drawn: np.ndarray) -> np.ndarray:
            near, of = by_image @ drawn
            return np.where(of > 0, near / np.maximum(of, 1), np.nan)

        rows = zip(labels, _means(found, labeled), _means(distance, labeled), counts.tolist(), strict=True)
        return cls(
            images=len(targets),
            loss=_loss(targets, outputs),
            intervals=intervals("pck", pck, len(targets)),
            pck=float(found.sum() / labeled.sum()),
            oks=mean_of_known(_similarities(targets, distance)),
            distance=float(distance[labeled].mean()),
            per_point={name: {"pck": near, "distance": far, "labeled": count} for name, near, far, count in rows},
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by keypoint."""
        return self.per_point


class KeypointAccumulator(VectorAccumulator):
    """Keeps the points of each image."""

    evaluation_class = KeypointEvaluation

    def errors(self) -> np.ndarray:
        """Return the mean distance of the labeled points of each image; 0 of an image without any."""
        labeled = self.targets[..., 2] > 0
        distance = np.where(labeled, _distances(self.targets, self.outputs), 0)
        return distance.sum(axis=1) / np.maximum(labeled.sum(axis=1), 1)

    @property
    def score(self) -> float:
        """PCK over all labeled points."""
        return float(self.scores.mean())

    @property
    def scores(self) -> np.ndarray:
        """Contribution of each image to the PCK: its points that are found, over the mean number of labeled ones."""
        labeled = self.targets[..., 2] > 0
        found = (_distances(self.targets, self.outputs) <= NEAR) & labeled
        return found.sum(axis=1) / max(labeled.sum() / len(labeled), EPSILON)


def _distances(targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return the distance of each point as a share of the image's sides, `(images, keypoints)`."""
    difference = outputs[..., :2].astype("float64") - targets[..., :2]
    return np.hypot(difference[..., 0], difference[..., 1])


def _means(values: np.ndarray, counted: np.ndarray) -> list[float | None]:
    totals = zip(np.where(counted, values, 0).sum(axis=0).tolist(), counted.sum(axis=0).tolist(), strict=True)
    return [total / count if count else None for total, count in totals]


def _similarities(targets: np.ndarray, distance: np.ndarray) -> list[float | None]:
    """Return the object keypoint similarity of each image; None where its points span no area."""
    found: list[float | None] = []
    for points, far in zip(targets, distance, strict=True):
        labeled = points[:, 2] > 0
        width, height = np.ptp(points[labeled, :2], axis=0) if labeled.any() else (0, 0)
        size = np.sqrt(width * height)
        found.append(float(np.exp(-(far[labeled] ** 2) / (2 * (FALLOFF * size) ** 2)).mean()) if size else None)
    return found


def _loss(targets: np.ndarray, outputs: np.ndarray) -> float:
    """Return the default loss of a point: absolute errors where it is labeled, and 0.05 times the cross-entropy."""
    labeled = targets[..., 2] > 0
    score = outputs[..., 2].astype("float64").clip(EPSILON, 1 - EPSILON)
    errors = np.abs(outputs[..., :2].astype("float64") - targets[..., :2]).sum(axis=-1)
    entropy = -np.log(np.where(labeled, score, 1 - score))
    return float((labeled * errors + 0.05 * entropy).mean())
