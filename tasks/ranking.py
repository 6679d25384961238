"""Metrics that compare the order of scores, at no particular threshold."""

from collections.abc import Callable

import numpy as np


def area_under_roc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve, 0..1: how often a positive image scores higher than a negative one.

    Args:
        positive: Bool, `(images,)`.
        scores: Numbers, `(images,)`.

    Returns:
        None if all images are positive, or none is.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, scores)) if 0 < positive.sum() < len(positive) else None


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the average precision, 0..1, as `area_under_roc`; None without positive images."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores)) if positive.any() else None


def weighted_mean_average_precision(positive: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the mean of `average_precision` over columns, as a function of the weights of the images.

    Args:
        positive: Bool, `(images, columns)`.
        scores: Numbers of the same shape.

    Returns:
        Function from weights `(images, resamples)` to means `(resamples,)` over the columns with positive images, or
        NaN.
    """
    columns = [column for column in zip(positive.T, scores.T, strict=True) if column[0].any()]

    def mean(weights: np.ndarray) -> np.ndarray:
        precisions = np.array([_average_precision(weights, *column) for column in columns])
        known = np.isfinite(precisions)
        with np.errstate(invalid="ignore"):
            return np.where(known, precisions, 0).sum(axis=0) / known.sum(axis=0)

    return mean


def _average_precision(weights: np.ndarray, positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the average precision of one column in each resample."""
    order = np.argsort(-scores)
    # Images of equal score form a group without an order; precision is measured at groups with positive images.
    groups = np.cumsum(np.diff(scores[order], prepend=np.inf) != 0)
    ranks = np.flatnonzero(positive[order])
    positive_groups, firsts = np.unique(groups[ranks], return_index=True)
    ends = np.searchsorted(groups, positive_groups, side="right")
    hits = np.add.reduceat(weights[order[ranks]], firsts)
    retrieved = np.add.reduceat(weights[order[: ends[-1]]], [0, *ends[:-1]]).cumsum(axis=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(retrieved, hits.cumsum(axis=0) / retrieved, 0)
        return (precision * hits).sum(axis=0) / hits.sum(axis=0)
