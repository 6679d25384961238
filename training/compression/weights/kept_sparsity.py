"""Zeros and clusters of a model that is trained further: kept if asked for, and otherwise not lost without a word."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from ....core.user_warnings import warn
from .layer_selection import prunable_kernels
from .tied_weights import COINCIDENCES, MOST_CLUSTERS, ties_kept

NOTICEABLE = 0.2
"""Share of zeros in a kernel, 0..1, above which it counts as pruned. A kernel of zeros alone was initialized so."""
SAMPLE = 4096
"""Weights of a kernel that are compared to see whether it has clusters."""


@dataclass(frozen=True)
class Compressed:
    """The kernels of a model that were pruned or clustered, by name of their layer in the flat form."""

    zeros: dict[str, float]
    """Share of zeros, 0..1, of the pruned ones."""
    clustered: tuple[str, ...]
    kernels: tuple[keras.Variable, ...]
    """Those of both."""

    def __str__(self) -> str:
        """Describe them for a message."""
        parts = []
        if self.zeros:
            most = max(self.zeros, key=self.zeros.__getitem__)
            parts.append(f"the zeros of {_kernels(len(self.zeros))} ({self.zeros[most]:.0%} of {most})")
        if self.clustered:
            parts.append(f"the clusters of {_kernels(len(self.clustered))} ({self.clustered[0]})")
        return " and ".join(parts)

    def sparsity(self) -> float:
        """Return the share of zeros over all of these kernels, 0..1."""
        zeros = sum(np.count_nonzero(keras.ops.convert_to_numpy(kernel) == 0) for kernel in self.kernels)
        return float(zeros / max(1, sum(np.prod(kernel.shape) for kernel in self.kernels)))


def compressed_kernels(model: keras.Model) -> Compressed:
    """Return the kernels of `model` that are noticeably sparse or have clusters, among those that can be trained."""
    zeros, clustered, kernels = {}, [], []
    for name, kernel in ((name, each.variable) for name, each in prunable_kernels(model).items()):
        values = keras.ops.convert_to_numpy(kernel).ravel()
        share = float(np.mean(values == 0))
        if NOTICEABLE < share < 1:
            zeros[name] = share
        if _has_clusters(values):
            clustered.append(name)
        if name in zeros or name in clustered:
            kernels.append(kernel)
    return Compressed(zeros, tuple(clustered), tuple(kernels))


@contextmanager
def sparsity_kept(model: keras.Model, keep: bool | None) -> Iterator[Compressed | None]:
    """While the block trains `model`, keep its zeros and clusters, or warn that it does not.

    Args:
        model: Its weights tell what is kept.
        keep: True to keep them; None to warn where there are any; False to say nothing.

    Yields:
        The kernels that are kept; None if none are.
    """
    found = None if keep is False else compressed_kernels(model)
    if not keep or found is None:
        if found is not None and found.kernels:
            warn(
                f"{model.name}: training does not keep {found}; pass keep_sparsity=True (--keep-sparsity) to keep "
                "them, or False (--lose-sparsity) if they may go."
            )
        yield None
        return
    with ties_kept(found.kernels):
        yield found


def warn_of_clusters(model: keras.Model) -> None:
    """Warn that pruning loses the clusters of `model`, if it has any."""
    clustered = compressed_kernels(model).clustered
    if clustered:
        warn(
            f"{model.name}: pruning does not keep the clusters of {_kernels(len(clustered))} ({clustered[0]}); cluster "
            "after pruning, which keeps the zeros."
        )


def _has_clusters(values: np.ndarray) -> bool:
    """Whether few distinct weights repeat, among those that are not zero."""
    sample = values[values != 0][:SAMPLE]
    distinct = len(np.unique(sample))
    return 2 <= distinct <= MOST_CLUSTERS and distinct < (1 - COINCIDENCES) * len(sample)


def _kernels(count: int) -> str:
    return "1 kernel" if count == 1 else f"{count} kernels"
