"""Metrics of detections: COCO's mean average precision."""

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .accumulator import Accumulator
from .bootstrap import intervals
from .boxes import found_in, overlaps, true_in
from .evaluation import BaseEvaluation, Row, mean_of_known

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which a box is right."""
SCALE = 1000.0
"""Units of pycocotools for the sides of an image; it draws no other conclusion from them than overlaps."""
SURE = 0.5
"""Score from which an object counts as found where there is no ranking."""


@dataclass(frozen=True)
class DetectionEvaluation(BaseEvaluation):
    """Metrics of a detection on one split, by pycocotools, with up to 100 objects for each image; `loss` is 1 - mAP."""

    SUMMARY: ClassVar = {
        "mAP": "mean_average_precision",
        "mAP@0.5": "average_precision_50",
        "precision": "precision",
        "recall": "recall",
        "loss": "loss",
    }

    mean_average_precision: float
    """Mean over the classes that occur, and over the overlaps 0.5, 0.55 to 0.95 from which a box is right, 0..1."""
    average_precision_50: float
    """Mean average precision for the overlap 0.5 alone, 0..1."""
    precision: float
    """Share of the objects found with a score of at least 0.5 that are right at an overlap of 0.5; 1 if none are
    found."""
    recall: float
    """Share of the true objects that are found so; 1 if there are none."""
    per_class: dict[str, Row]
    """`mAP`, `mAP@0.5` and `objects` (their true number) by name; None for a class without any."""

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by class."""
        return self.per_class


class DetectionAccumulator(Accumulator):
    """Accumulates a `DetectionEvaluation`; of each image the true boxes and those that were found are kept."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._true: list[tuple[np.ndarray, np.ndarray]] = []
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._evaluated: tuple[int, Any] = (-1, None)

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch: targets `(count, most, 5)`, outputs `(count, candidates, 4 + classes)`."""
        self._true += map(true_in, targets)
        self._found += map(found_in, outputs)

    def evaluation(self) -> DetectionEvaluation:
        """Return the evaluation of all batches."""
        by_class = self._precisions()
        right, found, true = self._counts().sum(axis=0)
        support = np.bincount(np.concatenate([classes for _, classes in self._true]), minlength=len(self.labels))
        score, at_half = self.score, mean_of_known(row[0] if row is not None else None for row in by_class)
        return DetectionEvaluation(
            images=len(self._true),
            loss=1 - score,
            intervals=intervals("mean_average_precision", self._resampled(), len(self._true)),
            mean_average_precision=score,
            average_precision_50=at_half or 0.0,
            precision=float(right / found) if found else 1.0,
            recall=float(right / true) if true else 1.0,
            per_class={
                label: {
                    "mAP": None if row is None else float(row.mean()),
                    "mAP@0.5": None if row is None else float(row[0]),
                    "objects": float(count),
                }
                for label, row, count in zip(self.labels, by_class, support, strict=True)
            },
        )

    def errors(self) -> np.ndarray:
        """Return how much of each image's average precision is missing."""
        return 1 - self.scores

    @property
    def score(self) -> float:
        """Mean average precision of all images."""
        return mean_of_known(None if row is None else float(row.mean()) for row in self._precisions()) or 0.0

    @property
    def scores(self) -> np.ndarray:
        """Harmonic mean of precision and recall of each image, over the overlaps of the metric, `(images,)`."""
        scores = []
        for (boxes, classes), (own, own_classes, confidence) in zip(self._true, self._found, strict=True):
            sure = confidence >= SURE
            right = _matched(own[sure], own_classes[sure], boxes, classes).sum(axis=0)
            total = len(boxes) + int(sure.sum())
            scores.append(float((2 * right / total).mean()) if total else 1.0)
        return np.array(scores)

    def _counts(self) -> np.ndarray:
        """Return how many objects are found rightly, found and true in each image, `(images, 3)`."""
        counts = []
        for (boxes, classes), (own, own_classes, confidence) in zip(self._true, self._found, strict=True):
            sure = confidence >= SURE
            right = _matched(own[sure], own_classes[sure], boxes, classes)[:, 0].sum()
            counts.append((int(right), int(sure.sum()), len(boxes)))
        return np.array(counts).reshape(-1, 3)

    def _precisions(self) -> list[np.ndarray | None]:
        """Return the average precision of each class at each overlap, `(10,)`; None for a class without objects."""
        precision = self._by_coco().eval["precision"][:, :, :, 0, -1]  # overlaps, recalls, classes
        return [None if (column < 0).any() else column.mean(axis=1) for column in precision.transpose(2, 0, 1)]

    def _resampled(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the metric of resamples of the images, shifted to that of pycocotools on all images.

        It has the area below the curve itself where pycocotools has the mean at 101 recalls.
        """
        coco = self._by_coco()
        images = len(self._true)
        classes = []
        for index in range(len(self.labels)):
            at = [each for each in coco.evalImgs[index * images : (index + 1) * images] if each is not None]
            if any(len(each["gtIds"]) for each in at):
                classes.append(_ranked(at, images))

        def metric(weights: np.ndarray) -> np.ndarray:
            values = np.stack([_areas(*each, weights) for each in classes])
            known = ~np.isnan(values)
            return np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)

        if not classes:
            return lambda weights: np.zeros(weights.shape[1])
        shift = self.score - metric(np.ones((images, 1)))
        return lambda weights: (metric(weights) + shift).clip(0, 1)

    def _by_coco(self) -> Any:
        if self._evaluated[0] != len(self._true):
            self._evaluated = (len(self._true), _evaluate(self._true, self._found, len(self.labels)))
        return self._evaluated[1]


def _evaluate(true: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]], classes: int) -> Any:
    """Return the evaluation of pycocotools, with its results in `eval` and `evalImgs`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, answers = COCO(), COCO()
    for coco, boxes in ((truth, true), (answers, found)):
        rows = [
            {
                "id": 0,
                "image_id": image,
                "category_id": int(category),
                "bbox": [*edges[:2], *(edges[2:] - edges[:2])],
                "area": float((edges[2:] - edges[:2]).prod()),
                "iscrowd": 0,
                "score": float(score),
            }
            for image, (edges_of, categories, *scores) in enumerate(boxes)
            for edges, category, score in zip(
                edges_of.astype("float64") * SCALE,
                categories,
                scores[0] if scores else np.ones(len(edges_of)),
                strict=True,
            )
        ]
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(true))],
            "categories": [{"id": index} for index in range(classes)],
            "annotations": [row | {"id": number} for number, row in enumerate(rows, start=1)],
        }
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        answers.createIndex()
        evaluation = COCOeval(truth, answers, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _ranked(by_image: Sequence[dict[str, Any]], images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the image of each object of a class that is found, in order of the scores; where it is right, bool
    `(overlaps, found)`; and the number of true ones in each image."""
    rows = np.concatenate([np.full(len(each["dtScores"]), each["image_id"]) for each in by_image])
    scores = np.concatenate([each["dtScores"] for each in by_image])
    right = np.concatenate([each["dtMatches"] > 0 for each in by_image], axis=1)
    true = np.zeros(images)
    for each in by_image:
        true[each["image_id"]] = len(each["gtIds"])
    order = np.argsort(-scores, kind="stable")
    return rows[order].astype("int64"), right[:, order], true


def _areas(rows: np.ndarray, right: np.ndarray, true: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area below the curve of precision by recall, mean over the overlaps, for each resample.

    NaN where a resample has no true objects.
    """
    drawn, total = weights[rows].astype("float32"), true @ weights
    found = np.maximum(np.cumsum(drawn, axis=0), 1e-9)
    areas = np.zeros(weights.shape[1])
    for is_right in right:
        gained = drawn * is_right[:, np.newaxis]
        precision = np.cumsum(gained, axis=0) / found
        best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        areas += (gained * best).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, areas / total / len(right), np.nan)


def _matched(own: np.ndarray, own_classes: np.ndarray, boxes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return which boxes, the best first, are right, bool `(own, overlaps)`: each true box is found once."""
    right = np.zeros((len(own), len(THRESHOLDS)), bool)
    if not len(boxes) or not len(own):
        return right
    shared = np.where(own_classes[:, np.newaxis] == classes, overlaps(own, boxes), 0)
    for column, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(boxes), bool)
        for row, candidates in enumerate(shared):
            best = int(np.where(free, candidates, -1).argmax())
            if free[best] and candidates[best] >= threshold:
                right[row, column], free[best] = True, False
    return right
