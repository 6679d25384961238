"""Confidence intervals of metrics on other images of the same kind: the percentile bootstrap (Efron 1979) by image."""

from collections.abc import Callable

import numpy as np

from .evaluation import Interval

RESAMPLES = 1000
CONFIDENCE = 0.95
BATCH_DRAWS = 2**21
"""Images drawn at once, which bounds the memory."""


def intervals(field: str, metric: Callable[[np.ndarray], np.ndarray], images: int) -> dict[str, Interval]:
    """Return the interval that holds the middle 95 % of a metric's values over resamples; the same on every call.

    Args:
        field: Key of the result.
        metric: Maps float32 weights `(images, resamples)`, how often each image was drawn, to the metric's values
            `(resamples,)`, NaN where it is not defined; those are left out.
        images: Number of images. The result is empty for a single one.
    """
    if images < 2:
        return {}
    random = np.random.default_rng(0)
    batch = max(1, BATCH_DRAWS // images)
    sizes = [min(batch, RESAMPLES - start) for start in range(0, RESAMPLES, batch)]
    values = np.concatenate([metric(_weights(random, size, images)) for size in sizes])
    outside = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(values, (outside, 1 - outside))
    return {field: (float(low), float(high))}


def share_interval(field: str, correct: np.ndarray) -> dict[str, Interval]:
    """Return the interval of a share of images; `correct` has a bool for each image.

    If all or none are correct, all resamples are the same and their interval would have no width. It is then the exact
    one of Clopper and Pearson (1934), which ends at `((1 - 0.95) / 2) ** (1 / images)`.
    """
    if len(correct) < 2 or 0 < np.count_nonzero(correct) < len(correct):
        return intervals(field, mean_of(correct), len(correct))
    limit = ((1 - CONFIDENCE) / 2) ** (1 / len(correct))
    return {field: (limit, 1.0) if correct.all() else (0.0, 1 - limit)}


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the metric that is the mean of one value for each image."""
    return lambda weights: values.astype("float64") @ weights / len(values)


def _weights(random: np.random.Generator, resamples: int, images: int) -> np.ndarray:
    """Return how often each image is drawn in samples of the full size, with replacement: `(images, resamples)`."""
    drawn = random.integers(images, size=(images, resamples)) * resamples + np.arange(resamples)
    return np.bincount(drawn.ravel(), minlength=images * resamples).reshape(images, resamples).astype("float32")
