"""Private names of TF-MOT (TensorFlow Model Optimization): schedules, block pooling, M:N masks and centroids.

The only module that imports TF-MOT. Its public functions refuse Keras 3 models (tensorflow/model-optimization#1119), so
these are parts of them; `tests/training/compression` compares what pocketzoo does with them to TF-MOT's own
`prune_low_magnitude` and `cluster_weights` on tf_keras models.
"""

from collections.abc import Callable

import keras  # before TF-MOT, which would turn `tf.keras` into another library  # noqa: F401
import numpy as np
import numpy.typing as npt
import tensorflow as tf

# Importing TF-MOT turns `tf.keras` into tf_keras for the whole process: harmless, since nothing here uses `tf.keras`.
from tensorflow_model_optimization.python.core.clustering.keras import clustering_centroids
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule, pruning_utils

from .private_names import PrivateName

PACKAGE, TESTED = "tensorflow-model-optimization", "0.8.1"

NAMES = tuple(
    PrivateName(PACKAGE, TESTED, name, needed_for)
    for name, needed_for in {
        "pruning_schedule.ConstantSparsity": "training.prune with schedule 'constant'",
        "pruning_schedule.PolynomialDecay": "training.prune with schedule 'polynomial'",
        "pruning_utils.factorized_pool": "training.prune with a pattern 'block:HxW'",
        "pruning_utils.weights_rearrange": "training.prune with a pattern 'M:N'",
        "pruning_utils.generate_m_by_n_mask": "training.prune with a pattern 'M:N'",
        "pruning_utils.m_by_n_sparsity_mask_prepare": "training.prune with a pattern 'M:N'",
        "clustering_centroids.KmeansPlusPlusCentroidsInitialisation": "training.cluster with start 'kmeans++'",
        "clustering_centroids.LinearCentroidsInitialisation": "training.cluster with start 'linear'",
        "clustering_centroids.DensityBasedCentroidsInitialisation": "training.cluster with start 'density'",
    }.items()
)

FloatArray = npt.NDArray[np.floating]

CENTROID_INITIALIZATIONS = {
    "kmeans++": clustering_centroids.KmeansPlusPlusCentroidsInitialisation,
    "linear": clustering_centroids.LinearCentroidsInitialisation,
    "density": clustering_centroids.DensityBasedCentroidsInitialisation,
}


def constant_sparsity(target: float, *, begin: int) -> Callable[[int], float]:
    """Return TF-MOT's `ConstantSparsity`: from a step to the fraction of zeros, `target` from step `begin` on."""
    return _fraction(pruning_schedule.ConstantSparsity(target, begin))


def polynomial_decay(initial: float, target: float, *, begin: int, end: int, frequency: int) -> Callable[[int], float]:
    """Return TF-MOT's `PolynomialDecay`: from a step to the fraction of zeros.

    Args:
        initial: Fraction of zeros at step `begin`, 0..1.
        target: Fraction of zeros at step `end`, 0..1.
        begin: First step.
        end: Last step.
        frequency: Steps between two updates of the masks.
    """
    return _fraction(pruning_schedule.PolynomialDecay(initial, target, begin, end, frequency=frequency))


def _fraction(schedule: pruning_schedule.PruningSchedule) -> Callable[[int], float]:
    return lambda step: float(schedule(tf.constant(step, tf.int64))[1])


def block_magnitudes(matrix: FloatArray, block: tuple[int, int], pooling: str) -> FloatArray:
    """Return the mean (`"avg"`) or the largest (`"max"`) magnitude in each block of a `(rows, columns)` matrix.

    Blocks of H x W give `(ceil(rows / H), ceil(columns / W))`; if they do not divide the matrix, the last ones are
    smaller. TF-MOT differs there: it measures windows that begin before the matrix and removes blocks that begin with
    it, so that weights it has removed have a magnitude again.
    """
    missing = [-side % step for side, step in zip(matrix.shape, block, strict=True)]
    padded = np.pad(np.abs(matrix), [(0, missing[0]), (0, missing[1])])
    pooled = pruning_utils.factorized_pool(
        tf.constant(padded), window_shape=block, pooling_type=pooling.upper(), strides=block, padding="SAME"
    )
    magnitudes: FloatArray = pooled.numpy().reshape(padded.shape[0] // block[0], padded.shape[1] // block[1])
    if pooling == "avg":
        magnitudes[-1] *= block[0] / (block[0] - missing[0])
        magnitudes[:, -1] *= block[1] / (block[1] - missing[1])
    return magnitudes


def m_by_n_mask(kernel: FloatArray, m_by_n: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which weights M:N sparsity keeps: of every N consecutive input channels the N - M largest.

    The result has the shape of `kernel`.
    """
    rows = pruning_utils.weights_rearrange(tf.constant(kernel))
    mask = pruning_utils.generate_m_by_n_mask(rows, m_by_n)
    kept: npt.NDArray[np.bool_] = (
        pruning_utils.m_by_n_sparsity_mask_prepare(mask, tf.TensorShape(kernel.shape)).numpy() > 0
    )
    return kept


def initial_centroids(kernel: FloatArray, clusters: int, initialization: str, *, with_zero: bool) -> FloatArray:
    """Return TF-MOT's centroids for the weights of `kernel`, float32, in ascending order.

    Args:
        kernel: Weights of any shape, of more different values than `clusters`: TF-MOT would move fewer.
        clusters: Number of centroids.
        initialization: One of `CENTROID_INITIALIZATIONS`.
        with_zero: Whether one centroid is 0, with the others divided between the weights below and above it.
    """
    found = CENTROID_INITIALIZATIONS[initialization](kernel, clusters, preserve_sparsity=with_zero)
    return np.sort(np.asarray(found.get_cluster_centroids(), "float32"))
