"""Order of removal of units, and how many of them to remove."""

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np

from .....core.errors import InputError, unknown
from .pruning_groups import PruningGroup

SCOPES = ("global", "layer")

Counts = list[int]
"""Number of units that are kept of each row of each group."""


class ChannelSelection:
    """The removable units, ordered by importance.

    Args:
        groups: The removable units.
        importance: Importance of each unit.
        scope: `"global"`: the least important of all units are removed first; `"layer"`: the same share of every group.
        round_to: The number of kept channels of a group is a multiple of it, or all.

    Raises:
        InputError: `scope` or `round_to` is invalid.
    """

    def __init__(self, groups: Sequence[PruningGroup], importance: np.ndarray, scope: str, round_to: int):
        if scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
        if round_to < 1:
            raise InputError(f"round_to is {round_to}; it must be 1 or more.")
        self._unit_count = len(importance)
        # Units of the same rank are removed from all rows together, so convolution groups lose equally many.
        orders = [np.argsort(importance[group.units], axis=1) for group in groups]
        self._ranked = [
            np.take_along_axis(group.units, order, axis=1) for group, order in zip(groups, orders, strict=True)
        ]
        self._steps = [round_to // math.gcd(round_to, group.channels) for group in groups]
        by_rank = [importance[ranked].mean(axis=0) for ranked in self._ranked]
        if scope == "layer":
            by_rank = [np.where(np.isinf(one), np.inf, np.arange(1, len(one) + 1) / len(one)) for one in by_rank]
        self._importance = by_rank
        """By group and rank."""
        every = np.concatenate([*by_rank, []])
        self.order = np.unique(every[np.isfinite(every)])
        """Thresholds of importance at each of which further units are removed; `keep` takes an index."""

    def keep(self, count: int) -> np.ndarray:
        """Return which units are kept if all up to the `count`-th threshold are removed, except for rounding up."""
        return self._kept(self._counts(count))

    @property
    def least(self) -> np.ndarray:
        """Which units are kept if all removable ones are removed."""
        return self.keep(len(self.order))

    def within(self, cost: Callable[[np.ndarray], float], limit: float) -> np.ndarray:
        """Return which units are kept for a cost of at most `limit`, which must not be below the cost of `least`.

        Bisects over the thresholds; then, since rounding removes several channels at once, restores as many as fit.
        """
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if cost(self.keep(middle)) <= limit else (middle + 1, high)
        return self._kept(self._refilled(self._counts(high), cost, limit))

    def _counts(self, count: int) -> Counts:
        threshold = self.order[count - 1] if count else -math.inf
        return [
            self._rounded(group, int((importance > threshold).sum()))
            for group, importance in enumerate(self._importance)
        ]

    def _rounded(self, group: int, count: int) -> int:
        step = self._steps[group]
        return min(len(self._importance[group]), max(1, math.ceil(count / step)) * step)

    def _kept(self, counts: Counts) -> np.ndarray:
        keep = np.ones(self._unit_count, bool)
        for ranked, count in zip(self._ranked, counts, strict=True):
            keep[ranked[:, : ranked.shape[1] - count]] = False
        return keep

    def _refilled(self, counts: Counts, cost: Callable[[np.ndarray], float], limit: float) -> Counts:
        """Restore the most important removed channels first; a group whose next ones no longer fit is skipped."""
        waiting = [self._next(group, count) for group, count in enumerate(counts) if self._has_removed(group, count)]
        heapq.heapify(waiting)
        while waiting:
            _, group = heapq.heappop(waiting)
            more = [*counts]
            more[group] = self._rounded(group, counts[group] + 1)
            if cost(self._kept(more)) <= limit:
                counts = more
                if self._has_removed(group, counts[group]):
                    heapq.heappush(waiting, self._next(group, counts[group]))
        return counts

    def _has_removed(self, group: int, count: int) -> bool:
        return count < len(self._importance[group])

    def _next(self, group: int, count: int) -> tuple[float, int]:
        """Return the priority of the next unit to restore, the most important first, and its group."""
        return -float(self._importance[group][-count - 1]), group
