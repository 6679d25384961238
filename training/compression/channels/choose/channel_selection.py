"""Which units to remove so that a budget is kept."""

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np

from .....core.errors import InputError, unknown
from .pruning_groups import Pool

SCOPES = ("global", "layer")

Stays = list[int]
"""Of each pool, how many of its ranks stay."""


class Choice:
    """The units in the order in which they are removed.

    Args:
        pools: What can be removed.
        scores: Of each unit, how much it matters.
        scope: `"global"`: the least of all units go first; `"layer"`: of every pool the same share.
        round_to: The channels that stay of a pool are a multiple of it, or all.

    Raises:
        InputError: `scope` or `round_to` cannot be.
    """

    def __init__(self, pools: Sequence[Pool], scores: np.ndarray, scope: str, round_to: int):
        if scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
        if round_to < 1:
            raise InputError(f"round_to is {round_to}; it takes 1 or more.")
        self._units = len(scores)
        # The r-th of every row go together: so groups lose as many each, and each its least.
        orders = [np.argsort(scores[pool.units], axis=1) for pool in pools]
        self._ranked = [
            np.take_along_axis(pool.units, order, axis=1) for pool, order in zip(pools, orders, strict=True)
        ]
        self._steps = [round_to // math.gcd(round_to, pool.channels) for pool in pools]
        matters = [scores[ranked].mean(axis=0) for ranked in self._ranked]
        if scope == "layer":
            matters = [np.where(np.isinf(one), np.inf, np.arange(1, len(one) + 1) / len(one)) for one in matters]
        self._matters = matters
        every = np.concatenate([*matters, []])
        self.order = np.unique(every[np.isfinite(every)])
        """Where a further unit goes; `keep` takes how many of these."""

    def keep(self, count: int) -> np.ndarray:
        """Which units stay where all up to the `count`-th of `order` go, rounding up aside: fewer the higher it is."""
        return self._kept(self._stays(count))

    @property
    def least(self) -> np.ndarray:
        """Which units stay where all go that can."""
        return self.keep(len(self.order))

    def within(self, cost: Callable[[np.ndarray], float], limit: float) -> np.ndarray:
        """Which units stay so that they cost at most `limit`, which that of the least must not be above.

        Bisection over the order; then, since rounding takes several channels at a time, as many as still fit come back.
        """
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if cost(self.keep(middle)) <= limit else (middle + 1, high)
        return self._kept(self._refilled(self._stays(high), cost, limit))

    def _stays(self, count: int) -> Stays:
        threshold = self.order[count - 1] if count else -math.inf
        return [self._rounded(pool, int((matters > threshold).sum())) for pool, matters in enumerate(self._matters)]

    def _rounded(self, pool: int, stays: int) -> int:
        step = self._steps[pool]
        return min(len(self._matters[pool]), max(1, math.ceil(stays / step)) * step)

    def _kept(self, stays: Stays) -> np.ndarray:
        keep = np.ones(self._units, bool)
        for ranked, left in zip(self._ranked, stays, strict=True):
            keep[ranked[:, : ranked.shape[1] - left]] = False
        return keep

    def _refilled(self, stays: Stays, cost: Callable[[np.ndarray], float], limit: float) -> Stays:
        """The removed channels that matter most come back first; a pool of which they no longer fit is left alone."""
        waiting = [self._next(pool, left) for pool, left in enumerate(stays) if left < len(self._matters[pool])]
        heapq.heapify(waiting)
        while waiting:
            _, pool = heapq.heappop(waiting)
            more = [*stays]
            more[pool] = self._rounded(pool, stays[pool] + 1)
            if cost(self._kept(more)) <= limit:
                stays = more
                if stays[pool] < len(self._matters[pool]):
                    heapq.heappush(waiting, self._next(pool, stays[pool]))
        return stays

    def _next(self, pool: int, stays: int) -> tuple[float, int]:
        """What comes back next of a pool, by how much it matters."""
        return -float(self._matters[pool][-stays - 1]), pool
