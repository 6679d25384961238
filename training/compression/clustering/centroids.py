"""Where clusters of weights begin: TF-MOT's centroids.

TF-MOT's public API does nothing to Keras 3 models (it returns None), so these are parts from inside it;
`tests/training/compression/test_clustering.py` holds them against its `cluster_weights`.
"""

import keras  # before TF-MOT, which would make `tf.keras` another library's  # noqa: F401
import numpy as np
from tensorflow_model_optimization.python.core.clustering.keras import clustering_centroids

STARTS = {
    "kmeans++": clustering_centroids.KmeansPlusPlusCentroidsInitialisation,
    "linear": clustering_centroids.LinearCentroidsInitialisation,
    "density": clustering_centroids.DensityBasedCentroidsInitialisation,
}


def centroids(kernel: np.ndarray, clusters: int, start: str, *, with_zero: bool) -> np.ndarray:
    """TF-MOT's `clusters` centroids for the weights of `kernel`, float32, in ascending order; or the weights themselves
    where there are no more different ones.

    Args:
        kernel: Weights, of any shape.
        clusters: How many.
        start: How they are found.
        with_zero: Whether one of them is 0, with the others shared out to what is below and above it.
    """
    different = np.unique(kernel)
    if len(different) <= clusters:  # TF-MOT's own would move them, or ask for more weights than there are
        return different
    found = STARTS[start](kernel, clusters, preserve_sparsity=with_zero).get_cluster_centroids()
    return np.sort(np.asarray(found, "float32"))


def nearest(kernel: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Every weight's nearest of the ascending `centroids`; the lower one where two are as near."""
    between = (centroids[1:] + centroids[:-1]) / 2
    return centroids[np.searchsorted(between, kernel)]
