"""Checks of the private names of TF-MOT."""

import numpy as np

from pocketzoo.core import tfmot_private
from support.private_names.checks import check_of


@check_of("pruning_schedule.ConstantSparsity")
def constant_schedule_begins_at_its_step():
    schedule = tfmot_private.constant_sparsity(0.5, begin=3)
    np.testing.assert_allclose([schedule(3), schedule(100)], 0.5)


@check_of("pruning_schedule.PolynomialDecay")
def polynomial_schedule_is_cubic():
    schedule = tfmot_private.polynomial_decay(0.2, 0.8, begin=10, end=20, frequency=1)
    np.testing.assert_allclose([schedule(step) for step in (10, 15, 20)], [0.2, 0.8 - 0.6 / 8, 0.8], rtol=1e-6)


@check_of("pruning_utils.factorized_pool")
def blocks_are_pooled():
    matrix = np.float32([[1, -2, 3], [-4, 5, 6]])
    np.testing.assert_array_equal(tfmot_private.block_magnitudes(matrix, (2, 1), "max"), [[4, 5, 6]])
    np.testing.assert_array_equal(tfmot_private.block_magnitudes(matrix, (1, 2), "avg"), [[1.5, 3], [4.5, 6]])


@check_of(
    "pruning_utils.weights_rearrange",
    "pruning_utils.generate_m_by_n_mask",
    "pruning_utils.m_by_n_sparsity_mask_prepare",
)
def largest_of_each_n_are_kept():
    kernel = np.float32([1, -4, 3, 2, 8, 5, 6, -7]).reshape(8, 1)
    mask = tfmot_private.m_by_n_mask(kernel, (2, 4))
    np.testing.assert_array_equal(mask[:, 0], [False, True, True, False, True, False, False, True])
    assert tfmot_private.m_by_n_mask(np.random.default_rng(0).normal(size=(3, 3, 8, 2)), (2, 4)).sum() == 72


def check_centroids(initialization: str) -> None:
    kernel = np.random.default_rng(0).normal(size=(10, 10)).astype("float32")
    centroids = tfmot_private.initial_centroids(kernel, 5, initialization, with_zero=True)
    assert (centroids.shape, centroids.dtype) == ((5,), np.float32)
    assert 0 in centroids
    assert np.all(np.diff(centroids) > 0)
    assert kernel.min() - 0.02 <= centroids[0] <= centroids[-1] <= kernel.max() + 0.02


@check_of("clustering_centroids.KmeansPlusPlusCentroidsInitialisation")
def kmeans_centroids_are_found():
    check_centroids("kmeans++")


@check_of("clustering_centroids.LinearCentroidsInitialisation")
def linear_centroids_are_found():
    check_centroids("linear")


@check_of("clustering_centroids.DensityBasedCentroidsInitialisation")
def density_centroids_are_found():
    check_centroids("density")
