"""The selection of units that keeps within the budget of channel pruning."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from .....core.errors import InputError
from .channel_selection import ChannelSelection
from .cost_limits import Limit
from .costs import Costs

TRIALS = 7
"""Models that are measured to find a latency, besides the widest and the narrowest."""
NAMED = 5
"""Most layers that a message names."""

Cost = Callable[[np.ndarray], float]
"""Returns the cost of a model from which units are kept."""


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
    low, high = float(costs.macs(best)), float(costs.macs(full))
    for _ in range(TRIALS):
        middle = (low + high) / 2
        keep = selection.within(costs.macs, middle)
        if latency(keep) <= limit:
            best, low = keep, middle
        else:
            high = middle
    return best
