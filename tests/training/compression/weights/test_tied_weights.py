import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pocketzoo.training.compression.weights.tied_weights import KeepTies, groups_of_equals, ties_kept

few_values = arrays(
    "float32", array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.sampled_from([0, 1, -2, 3])
)


@settings(max_examples=50, deadline=None)
@given(kernel=few_values, seed=st.integers(0, 9))
def test_equal_weights_stay_equal_and_zeros_stay_zero_after_any_step(kernel, seed):
    moved = kernel + np.random.default_rng(seed).normal(size=kernel.shape).astype("float32")
    kept = np.asarray(KeepTies(groups_of_equals(kernel))(keras.ops.convert_to_tensor(moved)))
    for value in np.unique(kernel):
        there = kernel == value
        expected = 0 if value == 0 else moved[there].mean()
        np.testing.assert_allclose(kept[there], expected, atol=1e-5)
        assert len(np.unique(kept[there])) == 1


@settings(max_examples=50, deadline=None)
@given(kernel=few_values)
def test_groups_are_separate_by_channel_if_requested(kernel):
    groups = groups_of_equals(kernel, (1,))
    np.testing.assert_array_equal(groups == -1, kernel == 0)
    pairs = {(channel, value) for channel in range(kernel.shape[1]) for value in np.unique(kernel[:, channel]) if value}
    assert sorted(set(groups[groups >= 0])) == list(range(len(pairs)))
    for channel in range(kernel.shape[1]):
        for value in np.unique(kernel[:, channel]):
            assert len(np.unique(groups[:, channel][kernel[:, channel] == value])) == 1


def test_constraints_are_set_where_needed_and_restored_after_the_block():
    own = keras.constraints.NonNeg()
    values = {"free": [*range(1, 40), 39], "sparse": [1, 2, 0, 3], "clustered": [1, 1, 2, 2]}
    kernels = {name: keras.Variable(np.array([weights], "float32")) for name, weights in values.items()}
    for kernel in kernels.values():
        kernel.constraint = own
    moved = np.array([[-2, 4, 1, 5]], "float32")
    with ties_kept(list(kernels.values())):
        assert kernels["free"].constraint is own  # two equal weights in many are so by chance
        np.testing.assert_array_equal(kernels["sparse"].constraint(moved), [[0, 4, 0, 5]])
        np.testing.assert_array_equal(kernels["clustered"].constraint(moved), [[2, 2, 3, 3]])
    assert all(kernel.constraint is own for kernel in kernels.values())


def test_large_groups_are_unchanged_without_updates():
    values = np.random.default_rng(0).choice(np.linspace(0.9, 1.1, 5), (1000, 1000)).astype("float32")
    np.testing.assert_array_equal(KeepTies(groups_of_equals(values))(keras.ops.convert_to_tensor(values)), values)


def test_few_values_are_clusters_regardless_of_channels():
    values = np.random.default_rng(0).choice([-1.0, 0.5, 2.0], (40, 30)).astype("float32")
    kernel = keras.Variable(values)
    moved = values + np.random.default_rng(1).normal(size=values.shape).astype("float32")
    with ties_kept([kernel], [(1,)]):
        assert len(np.unique(kernel.constraint(moved))) == 3
