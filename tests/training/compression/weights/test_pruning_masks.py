"""Masks by their definition, for any shape."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pocketzoo import training
from pocketzoo.training.compression.weights.masks import SAMPLED_SIZE, Masks, MByN, nth_largest

SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=2) | st.lists(st.integers(1, 5), min_size=4, max_size=4)
SHARES = st.floats(0, 0.99)
FEW = settings(max_examples=40, deadline=None)


@st.composite
def kernels(draw) -> np.ndarray:
    """Distinct magnitudes, so that it is clear which are the smallest."""
    shape = draw(SHAPES)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(int(np.prod(shape)))
    signs = draw(arrays.arrays("bool", len(order)))
    return ((order + 1) * np.where(signs, 1, -1)).astype("float32").reshape(shape)


def pruned(values: list[np.ndarray], share: float, **settings) -> list[np.ndarray]:
    variables = [keras.Variable(array) for array in values]
    Masks(variables, training.Sparsity(**settings)).update([share] * len(values))
    return [variable.numpy() for variable in variables]


@FEW
@given(kernels(), SHARES)
def test_smallest_weights_are_pruned_and_others_unchanged(kernel, share):
    (after,) = pruned([kernel], share)
    kept = after != 0
    np.testing.assert_array_equal(after[kept], kernel[kept])
    assert not np.signbit(after[~kept]).any()
    assert np.count_nonzero(~kept) == pytest.approx(min(share * kernel.size, kernel.size - 1), abs=0.5 + 1e-5)
    assert np.abs(kernel[kept]).min() > np.abs(kernel[~kept]).max(initial=0)


@FEW
@given(kernels(), SHARES, st.integers(1, 4), st.integers(1, 4), st.sampled_from(["avg", "max"]))
def test_blocks_of_the_kernel_matrix_are_pruned_whole(kernel, share, height, width, pooling):
    (after,) = pruned([kernel], share, pattern=f"block:{height}x{width}", pooling=pooling)
    before, after = (array.reshape(-1, kernel.shape[-1]) for array in (kernel, after))
    sizes = {True: [], False: []}
    for row in range(0, before.shape[0], height):
        for column in range(0, before.shape[1], width):
            block = np.s_[row : row + height, column : column + width]
            kept = {bool(value) for value in (after[block] != 0).ravel()}
            assert len(kept) == 1
            magnitudes = np.abs(before[block])
            sizes[kept.pop()].append(magnitudes.max() if pooling == "max" else magnitudes.mean())
    assert min(sizes[True]) >= max(sizes[False], default=0) * (1 - 1e-6)
    blocks = len(sizes[True]) + len(sizes[False])
    if pooling == "max":  # whose magnitudes are distinct
        assert len(sizes[False]) == pytest.approx(min(share * blocks, blocks - 1), abs=0.5 + 1e-5)


@FEW
@given(kernels(), st.integers(2, 5), st.data())
def test_m_smallest_of_n_channels_are_pruned_gradually(kernel, n, data):
    m = data.draw(st.integers(1, n - 1))
    (after,) = pruned([kernel], m / n, pattern=f"{m}:{n}")
    half_way = pruned([kernel], m / n / 2, pattern=f"{m}:{n}")[0]
    assert (half_way[after != 0] != 0).all()
    candidates = np.count_nonzero(after == 0)
    assert np.count_nonzero(half_way == 0) == pytest.approx(candidates / 2, abs=0.51)
    rows = {2: lambda array: array.T, 4: lambda array: array.transpose(3, 0, 1, 2)}[kernel.ndim]
    before, after = (rows(array).reshape(-1, kernel.shape[-2]) for array in (kernel, after))
    for first in range(0, before.shape[1], n):
        group, remaining = np.abs(before[:, first : first + n]), after[:, first : first + n]
        size = group.shape[1]
        assert (np.count_nonzero(remaining, axis=1) == min(n - m, size)).all()
        smallest_kept = np.where(remaining != 0, group, np.inf).min(axis=1)
        assert (smallest_kept > np.where(remaining == 0, group, 0).max(axis=1)).all()


@FEW
@given(st.lists(kernels(), min_size=1, max_size=4), SHARES)
def test_global_threshold_keeps_the_largest_weight_of_each_kernel(several, share):
    several = [kernel * (number + 1) + np.sign(kernel) * number / 8 for number, kernel in enumerate(several)]
    after = pruned(several, share, scope="global")
    everything = np.sort(np.concatenate([np.abs(kernel).ravel() for kernel in several]))
    kept = max(int(np.round(np.float32(everything.size) * (1 - np.float32(share)))), 1)
    threshold = everything[everything.size - kept]
    for kernel, remaining in zip(several, after, strict=True):
        magnitudes = np.abs(kernel)
        expected = magnitudes >= min(threshold, magnitudes.max())
        np.testing.assert_array_equal(remaining != 0, expected)


@pytest.mark.parametrize("pattern", ["element", "block:2x2", "2:4"])
def test_zeros_stay_zero_at_a_lower_sparsity(pattern):
    kernel = keras.Variable(np.random.default_rng(0).normal(size=(3, 3, 7, 5)).astype("float32"))
    masks = Masks([kernel], training.Sparsity(pattern=pattern))
    masks.update([0.5])
    zeros = kernel.numpy() == 0
    again = Masks([kernel], training.Sparsity(pattern=pattern))
    again.update([0.0])
    np.testing.assert_array_equal(again.variables[0].numpy(), masks.variables[0].numpy())
    np.testing.assert_array_equal(~masks.variables[0].numpy(), zeros)


@pytest.mark.parametrize(("m", "n"), [(3, 5), (7, 10)])
def test_all_candidates_are_pruned_in_a_kernel_too_large_for_float32_counts(m, n):
    row = np.array([1.0] * m + [np.inf] * (n - m), "float32")  # neither share is a float32
    kept = MByN((m, n)).kept(np.broadcast_to(row, (10_000_000, n)), float(np.float32(m / n)))
    assert kept == 10_000_000 * (n - m)


@given(
    seed=st.integers(0, 99),
    size=st.integers(SAMPLED_SIZE - 10, SAMPLED_SIZE + 20_000),
    share=st.floats(0, 1),
    different=st.sampled_from([1, 2, 5, 1000, None]),
    in_order=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_nth_largest_equals_sorting(seed, size, share, different, in_order):
    random = np.random.default_rng(seed)
    values = np.abs(random.normal(size=size) if different is None else random.integers(0, different, size))
    values = np.sort(values) if in_order else values
    number = 1 + round(share * (size - 1))
    assert nth_largest(values.astype("float32"), number) == np.sort(values.astype("float32"))[-number]
