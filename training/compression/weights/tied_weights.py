"""Weights that are equal stay equal, and zeros stay zero, while a model trains on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from .masks import Masked

MOST_CLUSTERS = 256
"""Different weights of a kernel that `cluster` leaves."""
BY_CHANCE = 0.05
"""Most of a kernel's weights that equal another by chance: of a million float32 numbers it is less than 1 %."""


class KeepTies(keras.constraints.Constraint):
    """Brings what an optimizer has made of the weights of a group back to one value, their mean; zeros stay zero.

    The mean of the weights after a step of gradient descent is what a step by the mean of their gradients gives. The
    optimizer applies it inside the compiled step. What is averaged is how far the weights are from one of their group:
    sums of the weights themselves would be off by more, in a large kernel, than a step moves them.

    Args:
        groups: Index of each weight's group, an array of the kernel's shape; those of -1 are zero.
        own: The kernel's own constraint, which comes first.
    """

    def __init__(self, groups: np.ndarray, own: keras.constraints.Constraint | None = None):
        flat = groups.reshape(-1) + 1  # the first is that of the zeros
        self._groups = ops.convert_to_tensor(flat, "int32")
        self._count = int(flat.max(initial=0)) + 1
        sizes, members = np.bincount(flat, minlength=self._count), np.zeros(self._count, "int32")
        members[flat[::-1]] = np.arange(len(flat))[::-1]  # the first of each
        self._members = ops.convert_to_tensor(members)
        shares = np.where(np.arange(self._count) > 0, 1 / np.maximum(sizes, 1), 0)
        self._shares = ops.convert_to_tensor(shares, "float32")
        self._own = own

    def __call__(self, weights):
        """`weights` with every group at its mean."""
        weights = weights if self._own is None else self._own(weights)
        flat = ops.reshape(weights, (-1,))
        one_of_each = ops.take(flat, self._members)
        offsets = flat - ops.take(one_of_each, self._groups)
        means = one_of_each + ops.segment_sum(offsets, self._groups, num_segments=self._count) * self._shares
        # A product alone would leave the sign of each zero.
        means = ops.where(self._shares > 0, means, 0.0)
        return ops.reshape(ops.take(means, self._groups), weights.shape)


def groups_of_equals(kernel: np.ndarray, channels: Sequence[int] = ()) -> np.ndarray:
    """Index of each weight's group of equal ones, an array of the kernel's shape, with -1 for zeros.

    Args:
        kernel: The weights.
        channels: Axes along which groups are apart: where each channel was multiplied by a number of its own, weights
            that are equal in two of them are so by chance.
    """
    aligned = np.moveaxis(kernel, channels, range(len(channels)))
    rows = aligned.reshape(int(np.prod(aligned.shape[: len(channels)])), -1)
    groups = np.full(rows.shape, -1)
    first = 0
    for row, indices in zip(rows, groups, strict=True):
        there = row != 0
        values, indices[there] = np.unique(row[there], return_inverse=True)
        indices[there] += first
        first += len(values)
    return np.moveaxis(groups.reshape(aligned.shape), range(len(channels)), channels)


def tying(kernel: np.ndarray, own: keras.constraints.Constraint | None, channels: Sequence[int] = ()):
    """The constraint that keeps the clusters of `kernel`, or its zeros where it has no clusters, or else `own`.

    Among many weights a few are equal by chance, which is no reason to hold them together.
    """
    # Few values in all are clusters that nothing has multiplied.
    groups = groups_of_equals(kernel, channels if len(np.unique(kernel)) > MOST_CLUSTERS else ())
    if 0 < groups.max(initial=-1) + 1 < (1 - BY_CHANCE) * np.count_nonzero(groups >= 0):
        return KeepTies(groups, own)
    return Masked(ops.convert_to_tensor(groups >= 0), own) if groups.min(initial=0) < 0 else own


@contextmanager
def ties_kept(kernels: Sequence[keras.Variable], channels: Sequence[Sequence[int]] | None = None) -> Iterator[None]:
    """While the block runs, training keeps the ties of `kernels`; afterwards their constraints are as before.

    Args:
        kernels: What is trained.
        channels: Of each, the axes along which groups are apart; by default none.
    """
    before = [kernel.constraint for kernel in kernels]
    try:
        for kernel, axes in zip(kernels, channels or [()] * len(kernels), strict=True):
            kernel.constraint = tying(ops.convert_to_numpy(kernel), kernel.constraint, axes)
        yield
    finally:
        for kernel, constraint in zip(kernels, before, strict=True):
            kernel.constraint = constraint
