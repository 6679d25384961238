"""Centroids of the clusters of a kernel's weights."""

import numpy as np

from ....core.tfmot_private import initial_centroids


def centroids(kernel: np.ndarray, clusters: int, start: str, *, with_zero: bool) -> np.ndarray:
    """Return TF-MOT's centroids for the weights of `kernel`, float32, in ascending order.

    If the kernel has no more than `clusters` distinct weights, these are returned.

    Args:
        kernel: Weights, of any shape.
        clusters: Number of centroids.
        start: TF-MOT's initialization: `"kmeans++"`, `"linear"` or `"density"`.
        with_zero: Whether one centroid is 0, with the others divided between negative and positive weights.
    """
    distinct = np.unique(kernel)
    if len(distinct) <= clusters:  # TF-MOT would move them, or raise
        return distinct
    return initial_centroids(kernel, clusters, start, with_zero=with_zero)


def nearest(kernel: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the nearest of the ascending `centroids` for each weight; the lower one if two are equally near."""
    midpoints = (centroids[1:] + centroids[:-1]) / 2
    return centroids[np.searchsorted(midpoints, kernel)]
