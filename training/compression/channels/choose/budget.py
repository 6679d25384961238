"""How much of a model may be left, and the choice of units that keeps to it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from .....core.errors import InputError, unknown
from .channel_selection import Choice
from .costs import Costs

KINDS = ("macs", "params", "bytes", "latency_ms")
TRIALS = 7
"""Models that are measured for a latency, besides the widest and the narrowest."""

Measure = Callable[[keras.Model], float]
"""Milliseconds that a model's artifact takes for an image."""
Cost = Callable[[np.ndarray], float]
"""What is left costs, by which units stay."""


@dataclass(frozen=True)
class Budget:
    """What was asked for."""

    kind: str
    """One of `KINDS`."""
    limit: float
    """Up to 1, but for milliseconds, a share of what the original has."""

    @classmethod
    def parse(cls, text: str, measure: Measure | None) -> "Budget":
        """`"macs:0.5"`, `"params:2e6"`, `"bytes:2e6"` (of the weights in float32) or `"latency_ms:5"`.

        Raises:
            InputError: It is none of these, or milliseconds without a `measure`.
        """
        kind, _, number = text.partition(":")
        if kind not in KINDS:
            raise unknown("budget", kind, KINDS)
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not 0 < limit < math.inf:
            raise InputError(f"budget is {text!r}; it takes a number above 0 after a colon, such as {kind}:0.5.")
        if kind == "latency_ms" and measure is None:
            raise InputError(f"budget is {text!r}; milliseconds take a measure, a function from a model to them.")
        return cls(kind, limit)

    def limits(self, full: float, steps: int) -> list["Limit"]:
        """What may be left after each step of a model that costs `full`: less by the same factor each time."""
        share = self.kind != "latency_ms" and self.limit <= 1
        final = self.limit * full if share else self.limit
        # What costs less already has the whole budget in every step: a latency is never measured twice the same.
        ratio = min(final / full, 1)
        return [Limit(self.kind, final * ratio ** (step / steps - 1), final) for step in range(1, steps + 1)]


@dataclass(frozen=True)
class Limit:
    """What may be left after one step."""

    kind: str
    """One of `KINDS`."""
    amount: float
    final: float
    """After the last step."""

    def __str__(self) -> str:
        """As a budget is written."""
        return f"{self.kind}:{self.amount:.4g}"


def choose(choice: Choice, costs: Costs, limit: Limit, latency: Cost) -> np.ndarray:
    """Which units stay: as many as can.

    Args:
        choice: Which can go, and in which order.
        costs: What units cost.
        limit: What they may.
        latency: Milliseconds, measured, of what is left.

    Raises:
        InputError: Even with all removed that can be, it is more than `limit.final`.
    """
    cost = latency if limit.kind == "latency_ms" else costs.of(limit.kind)
    least = cost(choice.least)
    if least > limit.final:
        asked, reachable = _written(limit.final), _written(least)
        raise InputError(
            f"the budget is {limit.kind}:{asked}, but what cannot be removed takes {reachable}: that is the least that "
            "can be reached."
        )
    if limit.kind == "latency_ms":
        return _within_latency(choice, costs, limit.amount, latency)
    return choice.within(cost, limit.amount)


def _written(amount: float) -> str:
    """So that it can be given as a budget: whole numbers in full, milliseconds rounded up."""
    return str(int(amount)) if amount == int(amount) else str(math.ceil(amount * 1000) / 1000)


def _within_latency(choice: Choice, costs: Costs, limit: float, latency: Cost) -> np.ndarray:
    """Bisection over multiply-adds: fewer are hardly ever slower, and every trial is measured."""
    best, full = choice.least, choice.keep(0)
    if latency(full) <= limit:
        return full
    low, high = costs.macs(best), costs.macs(full)
    for _ in range(TRIALS):
        middle = (low + high) / 2
        keep = choice.within(costs.macs, middle)
        if latency(keep) <= limit:
            best, low = keep, middle
        else:
            high = middle
    return best
