"""Budgets of channel pruning, and the selection of units that keeps within them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from .....core.errors import InputError, unknown
from .channel_selection import ChannelSelection
from .costs import Costs

COST_TYPES = ("macs", "params", "bytes", "latency_ms")
TRIALS = 7
"""Models that are measured to find a latency, besides the widest and the narrowest."""
NAMED = 5
"""Most layers that a message names."""

Measure = Callable[[keras.Model], float]
"""Returns the latency in milliseconds of a model's artifact for one image."""
Cost = Callable[[np.ndarray], float]
"""Returns the cost of a model from which units are kept."""


@dataclass(frozen=True)
class Budget:
    """The limit that a user set."""

    kind: str
    """One of `COST_TYPES`."""
    limit: float
    """Up to 1, a share of the original's cost; above 1, and for milliseconds, an absolute cost."""

    @classmethod
    def parse(cls, text: str, measure: Measure | None) -> "Budget":
        """Parse `"macs:0.5"`, `"params:2e6"`, `"bytes:2e6"` (of the weights in float32) or `"latency_ms:5"`.

        Raises:
            InputError: It is none of these, or milliseconds without `measure`.
        """
        kind, _, number = text.partition(":")
        if kind not in COST_TYPES:
            raise unknown("budget", kind, COST_TYPES)
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not 0 < limit < math.inf:
            raise InputError(f"budget is {text!r}; it takes a number above 0 after a colon, such as {kind}:0.5.")
        if kind == "latency_ms" and measure is None:
            raise InputError(f"budget is {text!r}; milliseconds take a measure, which returns those of a model.")
        return cls(kind, limit)

    def limits(self, full: float, steps: int) -> list["Limit"]:
        """Return the limit after each step for a model that costs `full`: less by the same factor each time."""
        share = self.kind != "latency_ms" and self.limit <= 1
        final = self.limit * full if share else self.limit
        # A model below the budget gets all of it in every step: measured latencies vary.
        ratio = min(final / full, 1)
        return [Limit(self.kind, final * ratio ** (step / steps - 1), final) for step in range(1, steps + 1)]


@dataclass(frozen=True)
class Limit:
    """The largest allowed cost after one step."""

    kind: str
    """One of `COST_TYPES`."""
    amount: float
    final: float
    """The limit of the last step."""

    def __str__(self) -> str:
        """Return it in the format of a budget."""
        return f"{self.kind}:{self.amount:.4g}"


def select_units(selection: ChannelSelection, costs: Costs, limit: Limit, latency: Cost) -> np.ndarray:
    """Return which units are kept, as booleans: as many as the limit allows.

    Args:
        selection: The removable units in the order of their removal.
        costs: Multiply-adds and parameters of kept units.
        limit: Of the cost.
        latency: Measures the milliseconds of kept units.

    Raises:
        InputError: With all removable units removed, the cost is still above `limit.final`.
    """
    cost = latency if limit.kind == "latency_ms" else costs.of(limit.kind)
    least = cost(selection.least)
    if least > limit.final:
        requested, reachable = _format_cost(limit.final), _format_cost(least)
        raise InputError(
            f"the budget is {limit.kind}:{requested}, but what cannot be removed takes {reachable}: that is the least "
            f"that can be reached{_reasons(costs.kept_whole)}."
        )
    if limit.kind == "latency_ms":
        return _within_latency(selection, costs, limit.amount, latency)
    return selection.within(cost, limit.amount)


def _reasons(kept_whole: Mapping[str, str]) -> str:
    """Return why channels are kept, by layer, for the end of a message."""
    named = [f"{layer} ({reason})" for layer, reason in kept_whole.items()]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"; all input channels are kept by {', '.join(named[:NAMED])}{more}" if named else ""


def _format_cost(amount: float) -> str:
    """Return it as it can be used in a budget: integers in full, milliseconds rounded up."""
    return str(int(amount)) if amount == int(amount) else str(math.ceil(amount * 1000) / 1000)


def _within_latency(selection: ChannelSelection, costs: Costs, limit: float, latency: Cost) -> np.ndarray:
    """Bisect over multiply-adds: fewer are hardly ever slower, and every trial is measured."""
    best, full = selection.least, selection.keep(0)
    if latency(full) <= limit:
        return full
    low, high = costs.macs(best), costs.macs(full)
    for _ in range(TRIALS):
        middle = (low + high) / 2
        keep = selection.within(costs.macs, middle)
        if latency(keep) <= limit:
            best, low = keep, middle
        else:
            high = middle
    return best
