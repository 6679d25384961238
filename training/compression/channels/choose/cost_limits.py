"""Budgets of channel pruning as a user states them, and the limits after each step. Imports no Keras."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .....core.errors import InputError, unknown

COST_TYPES = ("macs", "params", "bytes", "latency_ms")

Measure = Callable[[Any], float]
"""Returns the latency in milliseconds of a Keras model's artifact for one image."""


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
