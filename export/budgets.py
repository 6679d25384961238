"""Budgets of a device: flash, RAM and time, as a user states them. No TensorFlow.

A budget is a threshold on what a check measures on its target, such as `arena_bytes` on microcontrollers.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from numbers import Integral, Real

from ..core.errors import InputError, shorten, unknown

BUDGETS = {"flash": ("flash_bytes",), "ram": ("arena_bytes", "sram_bytes"), "latency_ms": ("latency_ms",)}
"""Names of budgets, and the thresholds that each sets: of a target, those that its checks apply."""
UNITS = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
"""Bytes by unit. Datasheets that promise 256 KB usually mean 256 KiB; taken as 256 kB they are never exceeded."""
LARGEST = 2**50
"""More bytes and milliseconds than any device has; larger numbers are slips of the keyboard."""
NUMBER = "[0-9]{1,20}(?:[.][0-9]{1,20})?"
EXAMPLE = "flash=256KiB,ram=64KiB,latency_ms=20"


def parse_budget(budget: str | Mapping[str, float | str]) -> dict[str, float]:
    """Return a budget as whole bytes and milliseconds, by the names in `BUDGETS`.

    Args:
        budget: A text such as `flash=256KiB,ram=64KiB,latency_ms=20`, in which sizes have one of `UNITS` and are whole
            numbers of bytes; or a mapping of the same names to such texts, to numbers of bytes and to milliseconds.

    Raises:
        InputError: A name is unknown or there twice, a size has no unit or an unknown one, or a value is not positive.
    """
    if not isinstance(budget, str | Mapping):
        raise InputError(f"the budget is {shorten(repr(budget))}; it takes a text such as {EXAMPLE}, or a mapping.")
    items = _split(budget) if isinstance(budget, str) else list(budget.items())
    if not items:
        raise InputError(f"the budget is empty; it takes one or more of {', '.join(BUDGETS)}, such as {EXAMPLE}.")
    limits: dict[str, float] = {}
    for name, value in items:
        if name not in BUDGETS:
            raise unknown("budget", name, BUDGETS)
        if name in limits:
            raise InputError(f"the budget {name} is there twice; give it once.")
        parse = _milliseconds if name == "latency_ms" else _bytes
        limits[name] = parse(name, value)
    return limits


def _split(text: str) -> list[tuple[str, str]]:
    items = []
    for part in text.split(",") if text.strip() else ():
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise InputError(f"the budget {shorten(part.strip())!r} is not of the form name=value, such as {EXAMPLE}.")
        items.append((name.strip(), value.strip()))
    return items


def _bytes(name: str, value: float | str) -> int:
    """The size in bytes."""
    if isinstance(value, str):
        number, unit = _number_and_unit(name, value)
        size = number * unit
        if size.denominator != 1:
            raise InputError(f"the budget {name}={shorten(value)} is not a whole number of bytes.")
        value = size.numerator
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 < value <= LARGEST:
        raise InputError(
            f"the budget {name} is {shorten(repr(value))}; it takes a size such as '256KiB', or a whole number of "
            f"bytes from 1 to {LARGEST:,}."
        )
    return int(value)


def _number_and_unit(name: str, text: str) -> tuple[Fraction, int]:
    found = re.fullmatch(rf"({NUMBER})([^0-9]*)", text)
    if found is None:
        raise InputError(f"the budget {name} is {shorten(text)!r}; it takes a number and a unit, such as 256KiB.")
    number, unit = found.groups()
    if not unit:
        raise InputError(f"the budget {name}={number} has no unit; write {number}B for bytes, or {', '.join(UNITS)}.")
    if unit not in UNITS:
        raise InputError(f"the budget {name} has the unit {shorten(unit)!r}; it takes {', '.join(UNITS)}.")
    return Fraction(number), UNITS[unit]


def _milliseconds(name: str, value: float | str) -> float:
    """The time in milliseconds, which its name states."""
    if isinstance(value, str) and re.fullmatch(NUMBER, value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= LARGEST:
        raise InputError(
            f"the budget {name} is {shorten(repr(value))}; it takes a positive number of milliseconds, such as 20, "
            "without a unit."
        )
    return float(value)
