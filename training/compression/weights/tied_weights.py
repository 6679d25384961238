"""Constraints that keep equal weights equal and zeros zero during further training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from .masks import Masked

MOST_CLUSTERS = 256
"""Most distinct weights in a kernel that `cluster` has treated."""
COINCIDENCES = 0.05
"""Largest share of a kernel's weights that equal another one by chance: below 1 % in a million float32 numbers."""


class KeepTies(keras.constraints.Constraint):
    """Sets the weights of each group to their mean after every step; zeros stay zero.

    With gradient descent the mean of the weights after a step equals a step by the mean of their gradients. The
    optimizer applies it inside the compiled step. The differences to one weight of the group are averaged, because the
    rounding error of a sum of weights would exceed a step in a large kernel.

    Args:
        groups: Index of each weight's group, an array of the kernel's shape; -1 marks weights that stay zero.
        own: The kernel's own constraint, which is applied first.
    """

    def __init__(self, groups: np.ndarray, own: keras.constraints.Constraint | None = None):
        flat = groups.reshape(-1) + 1  # group 0 is that of the zeros
        self._groups = ops.convert_to_tensor(flat, "int32")
        self._count = int(flat.max(initial=0)) + 1
        sizes, members = np.bincount(flat, minlength=self._count), np.zeros(self._count, "int32")
        members[flat[::-1]] = np.arange(len(flat))[::-1]  # the first member of each group
        self._members = ops.convert_to_tensor(members)
        shares = np.where(np.arange(self._count) > 0, 1 / np.maximum(sizes, 1), 0)
        self._shares = ops.convert_to_tensor(shares, "float32")
        self._own = own

    def __call__(self, weights: Any) -> Any:
        """Return `weights` with every group at its mean."""
        weights = weights if self._own is None else self._own(weights)
        flat = ops.reshape(weights, (-1,))
        references = ops.take(flat, self._members)
        offsets = flat - ops.take(references, self._groups)
        means = references + ops.segment_sum(offsets, self._groups, num_segments=self._count) * self._shares
        # A product alone would keep the sign of each zero.
        means = ops.where(self._shares > 0, means, 0.0)
        return ops.reshape(ops.take(means, self._groups), weights.shape)


def groups_of_equals(kernel: np.ndarray, channels: Sequence[int] = ()) -> np.ndarray:
    """Return the index of each weight's group of equal weights, an array of the kernel's shape, with -1 for zeros.

    Args:
        kernel: The weights.
        channels: Axes along which groups are separate. Where each channel was multiplied by a factor of its own,
            weights of two channels are equal by chance only.
    """
    aligned = np.moveaxis(kernel, channels, range(len(channels)))
    rows = aligned.reshape(int(np.prod(aligned.shape[: len(channels)])), -1)
    groups = np.full(rows.shape, -1)
    first = 0
    for row, indices in zip(rows, groups, strict=True):
        nonzero = row != 0
        values, indices[nonzero] = np.unique(row[nonzero], return_inverse=True)
        indices[nonzero] += first
        first += len(values)
    return np.moveaxis(groups.reshape(aligned.shape), range(len(channels)), channels)


def tying_constraint(
    kernel: np.ndarray,
    own: keras.constraints.Constraint | None,
    channels: Sequence[int] = (),
    *,
    is_clustered: bool = False,
) -> keras.constraints.Constraint | None:
    """Return the constraint that keeps the clusters of `kernel`; without clusters, its zeros; without zeros, `own`.

    Among many weights a few are equal by chance and are not tied, unless `is_clustered` says that they are clusters.
    """
    # A kernel with few distinct values in all has clusters that were not scaled by channel.
    groups = groups_of_equals(kernel, channels if len(np.unique(kernel)) > MOST_CLUSTERS else ())
    share = 1 if is_clustered else 1 - COINCIDENCES
    if 0 < groups.max(initial=-1) + 1 < share * np.count_nonzero(groups >= 0):
        return KeepTies(groups, own)
    return Masked(ops.convert_to_tensor(groups >= 0), own) if groups.min(initial=0) < 0 else own


@contextmanager
def ties_kept(
    kernels: Sequence[keras.Variable],
    channels: Sequence[Sequence[int]] | None = None,
    *,
    are_clustered: bool = False,
) -> Iterator[None]:
    """Keep equal weights of `kernels` equal while the block runs; then restore their constraints.

    Args:
        kernels: Variables to train.
        channels: For each of them, the axes along which groups of equal weights are separate; none by default.
        are_clustered: Whether equal weights are clusters even in kernels of few weights.
    """
    before = [kernel.constraint for kernel in kernels]
    try:
        for kernel, axes in zip(kernels, channels or [()] * len(kernels), strict=True):
            values = ops.convert_to_numpy(kernel)
            kernel.constraint = tying_constraint(values, kernel.constraint, axes, is_clustered=are_clustered)
        yield
    finally:
        for kernel, constraint in zip(kernels, before, strict=True):
            kernel.constraint = constraint
