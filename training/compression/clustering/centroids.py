"""Centroids of the clusters of a kernel's weights."""

import numpy as np

from ....core.tfmot_private import initial_centroids


def centroids(kernel: np.ndarray, clusters: int, start: str, *, with_zero: bool) -> np.ndarray:
    """Return TF-MOT's centroids for the weights of `kernel`, float32, in ascending order.

    They are the different weights themselves if there are no more than `clusters`.

    Args:
        kernel: Weights, of any shape.
        clusters: Number of centroids.
        start: How TF-MOT initializes them: `"kmeans++"`, `"linear"` or `"density"`.
        with_zero: Whether one centroid is 0, with the others divided between the weights below and above it.
    """
    different = np.unique(kernel)
    if len(different) <= clusters:  # TF-MOT would move them, or raise
        return different
    return initial_centroids(kernel, clusters, start, with_zero=with_zero)


def nearest(kernel: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the nearest of the ascending `centroids` for every weight; the lower of two that are equally near."""
    between = (centroids[1:] + centroids[:-1]) / 2
    return centroids[np.searchsorted(between, kernel)]
