"""How well probabilities rank what is there before what is not, whatever the threshold."""

from collections.abc import Callable

import numpy as np


def areas_under_roc(there: np.ndarray, scores: np.ndarray) -> list[float | None]:
    """Of each column: how often a random image that has it is ranked above one that has not, 0..1.

    Args:
        there: Booleans, `(images, columns)`.
        scores: Of the same shape.

    Returns:
        None of a column that all images have, or none.
    """
    from sklearn.metrics import roc_auc_score

    columns = zip(there.T, scores.T, strict=True)
    return [float(roc_auc_score(*column)) if 0 < column[0].sum() < len(there) else None for column in columns]


def average_precisions(there: np.ndarray, scores: np.ndarray) -> list[float | None]:
    """Of each column: the mean of the precisions at each image that has it, 0..1; None where none has.

    Args:
        there: Booleans, `(images, columns)`.
        scores: Of the same shape.
    """
    from sklearn.metrics import average_precision_score

    columns = zip(there.T, scores.T, strict=True)
    return [float(average_precision_score(*column)) if column[0].any() else None for column in columns]


def weighted_mean_average_precision(there: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The mean of `average_precisions` as a function of how often each image counts.

    Returns:
        Of weights `(images, resamples)` the means `(resamples,)` of the columns that some image has, or NaN.
    """
    columns = [column for column in zip(there.T, scores.T, strict=True) if column[0].any()]

    def mean(weights: np.ndarray) -> np.ndarray:
        precisions = np.array([_average_precision(weights, *column) for column in columns])
        known = np.isfinite(precisions)
        with np.errstate(invalid="ignore"):
            return np.where(known, precisions, 0).sum(axis=0) / known.sum(axis=0)

    return mean


def _average_precision(weights: np.ndarray, there: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of one column, by resample."""
    order = np.argsort(-scores)
    # Images of the same score are a group, none of them before another; precision is asked for where a group has some.
    groups = np.cumsum(np.diff(scores[order], prepend=np.inf) != 0)
    places = np.flatnonzero(there[order])
    with_some, firsts = np.unique(groups[places], return_index=True)
    ends = np.searchsorted(groups, with_some, side="right")
    found = np.add.reduceat(weights[order[places]], firsts)
    seen = np.add.reduceat(weights[order[: ends[-1]]], [0, *ends[:-1]]).cumsum(axis=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(seen, found.cumsum(axis=0) / seen, 0)
        return (precision * found).sum(axis=0) / found.sum(axis=0)
