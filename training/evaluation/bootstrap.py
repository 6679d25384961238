"""How far a figure would be off on other images of the same kind: the percentile bootstrap (Efron 1979), by image."""

from collections.abc import Callable

import numpy as np

from .figures import Interval

RESAMPLES = 1000
CONFIDENCE = 0.95
AT_ONCE = 2**21
"""Images drawn in one go, which bounds the memory."""


def intervals(field: str, figure: Callable[[np.ndarray], np.ndarray], images: int) -> dict[str, Interval]:
    """The interval that holds the middle 95 % of a figure's values over resamples; the same on every call.

    Args:
        field: What to call it in the answer.
        figure: Of float32 weights `(images, resamples)`, how often each image was drawn, its values `(resamples,)`; NaN
            where it is not defined, which then counts for nothing.
        images: How many there are. Of a single one nothing can be said, and the answer is empty.
    """
    if images < 2:
        return {}
    random = np.random.default_rng(0)
    batch = max(1, AT_ONCE // images)
    sizes = [min(batch, RESAMPLES - start) for start in range(0, RESAMPLES, batch)]
    values = np.concatenate([figure(_weights(random, size, images)) for size in sizes])
    outside = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(values, (outside, 1 - outside))
    return {field: (float(low), float(high))}


def share_interval(field: str, right: np.ndarray) -> dict[str, Interval]:
    """The interval of a share; `right` says of each image whether it counts.

    Where all do or none does, resamples are all the same and would say that the figure is certain; there it is the
    exact one of Clopper and Pearson (1934), which ends at `((1 - 0.95) / 2) ** (1 / images)`.
    """
    if len(right) < 2 or 0 < np.count_nonzero(right) < len(right):
        return intervals(field, mean_of(right), len(right))
    farthest = ((1 - CONFIDENCE) / 2) ** (1 / len(right))
    return {field: (farthest, 1.0) if right.all() else (0.0, 1 - farthest)}


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The figure that is the mean of `values`, one an image."""
    return lambda weights: values.astype("float64") @ weights / len(values)


def _weights(random: np.random.Generator, resamples: int, images: int) -> np.ndarray:
    """How often each image is drawn where as many are drawn as there are: `(images, resamples)`."""
    drawn = random.integers(images, size=(images, resamples)) * resamples + np.arange(resamples)
    return np.bincount(drawn.ravel(), minlength=images * resamples).reshape(images, resamples).astype("float32")
