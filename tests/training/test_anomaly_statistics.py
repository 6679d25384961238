"""Statistics of good features against NumPy's, and the vectors that a coreset keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import layers
from pocketzoo.training.anomaly.statistics import (
    REGULARIZATION,
    PositionStatistics,
    greedy_coreset,
    sampled_vectors,
    usable_deviation,
)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_statistics_of_batches_are_those_of_all_images(offset):
    random = np.random.default_rng(0)
    features = offset + random.normal(0, [1, 3, 0.2], (50, 4, 3)) + random.normal(0, 1, (4, 1))
    statistics = PositionStatistics(4, 3)
    for start in range(0, 50, 17):
        statistics.add(features[start : start + 17].astype("float64"))
    mean, deviation, means, covariance = statistics.standardized()
    np.testing.assert_allclose(mean, features.mean(axis=(0, 1)))
    for position in range(4):
        own = (features[:, position] - mean) / deviation
        np.testing.assert_allclose(means[position], own.mean(axis=0), atol=1e-6)
        expected = np.cov(own.T) + REGULARIZATION * np.eye(3)
        np.testing.assert_allclose(covariance[position], expected, rtol=1e-5, atol=1e-7)


def test_distance_is_that_of_mahalanobis():
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (200, 2 * 3, 4)) @ random.normal(0, 1, (4, 4))
    statistics = PositionStatistics(6, 4)
    statistics.add(features)
    mean, deviation, means, covariance = statistics.standardized()
    layer = layers.GaussianDistance(4)
    layer.build((None, 2, 3, 4))
    layer.set_selection(np.arange(4), mean, deviation)
    layer.set_statistics(means, covariance)
    found = np.asarray(layer(features[:5].reshape(5, 2, 3, 4).astype("float32"))).reshape(5, 6)
    centered = (features[:5] - mean) / deviation - means
    expected = np.einsum("npc,pcd,npd->np", centered, np.linalg.inv(covariance), centered) / 4
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_distance_from_remembered_vectors_is_that_of_the_nearest():
    random = np.random.default_rng(0)
    features, memory = random.normal(0, 1, (2, 3, 3, 5)), random.normal(0, 1, (7, 5))
    layer = layers.NeighborDistance(5, 7)
    layer.build((None, 3, 3, 5))
    layer.set_selection(np.arange(5), np.zeros(5), np.ones(5))
    layer.set_memory(memory)
    expected = ((features[..., np.newaxis, :] - memory) ** 2).mean(axis=-1).min(axis=-1)
    np.testing.assert_allclose(np.asarray(layer(features.astype("float32")))[..., 0], expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 9))
def test_coreset_keeps_the_farthest_vectors(count, size, seed):
    vectors = np.random.default_rng(seed).normal(0, 1, (count, 3))
    chosen = greedy_coreset(vectors, min(size, count))
    assert len(set(chosen)) == len(chosen) == min(size, count)
    for number in range(1, len(chosen)):
        far = ((vectors[:, np.newaxis] - vectors[chosen[:number]]) ** 2).sum(axis=-1).min(axis=1)
        assert far[chosen[number]] == pytest.approx(far.max())


def test_as_many_vectors_are_drawn_of_each_image_and_no_more_than_most():
    images = np.arange(6.0).reshape(6, 1, 1) * np.ones((6, 50, 2))
    drawn = sampled_vectors(iter([images[:4], images[4:]]), 6, 30, seed=0)
    assert np.bincount(drawn[:, 0].astype(int)).tolist() == [5] * 6
    assert len(sampled_vectors(iter([images]), 6, 4, seed=0)) == 4


def test_channels_that_never_change_are_not_divided_by_zero():
    np.testing.assert_array_equal(usable_deviation(np.array([0.0, 2.0, 1e-9])), [1, 2, 1])
