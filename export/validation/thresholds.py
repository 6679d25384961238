"""Bars that the user sets, in place of those of the formats or, for budgets of memory, where there is none."""

from collections.abc import Mapping, Sequence
from numbers import Real

from ...core.errors import InputError, unknown
from ..targets import TARGETS
from .measures import MEASURES

SHARES = ("agreement",)
BUDGETS = ("arena_bytes", "sram_bytes")
"""What a model may take where memory is short: of TensorFlow Lite Micro's arena, of an Ethos-U."""

TOLERATED = ("operators_on_cpu", "operators_refused")
"""How many operators a GPU or an NPU may leave to the processor; none by default."""

_VELA = ("vela-u55", "vela-u65", "vela-u85")
MEASURED_BY = {
    "arena_bytes": ("tflite-micro",),
    "sram_bytes": _VELA,
    "operators_on_cpu": _VELA,
    "operators_refused": ("litert-gpu", "edge-tpu"),
}
"""The checks that such a bar is for."""


def checked_bars(bars: Mapping[str, float], task: str) -> dict[str, float]:
    """Bars by name, as the fields of `formats.Format` are called; blanks may stand for underscores.

    Raises:
        InputError: There is no such bar for this task, or its value cannot be.
    """
    loss = (MEASURES[task].bar,) if task in MEASURES else ()
    allowed = ("relative_difference", *SHARES, *loss, *BUDGETS, *TOLERATED)
    checked = {}
    for given, bar in bars.items():
        name = given.strip().lower().replace(" ", "_")
        if name not in allowed:
            raise unknown(f"bar for a {task}", given, allowed)
        highest = 1 if name in SHARES else float("inf")
        if isinstance(bar, bool) or not isinstance(bar, Real) or not 0 <= bar <= highest:
            raise InputError(f"the bar {name} is {bar!r}; it takes a number from 0{' to 1' if highest == 1 else ''}.")
        checked[name] = float(bar)
    return checked


def check_measured(bars: Mapping[str, float], targets: Sequence[str]) -> None:
    """Raises InputError where none of `targets` is put to what a bar is for, so that it would hold nothing."""
    for name in MEASURED_BY.keys() & bars:
        able = [target for target in TARGETS if _measures(target, name)]
        if not set(able) & set(targets):
            raise InputError(
                f"the bar {name} is for {' or '.join(able)}, and would hold nothing on {', '.join(targets)}."
            )


def _measures(target: str, bar: str) -> bool:
    return any(set(checks) & set(MEASURED_BY[bar]) for checks in TARGETS[target].checks.values())
