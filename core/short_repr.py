"""A `repr` that fits on one screen, whatever the number of labels, images or checks."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

LINES, COLUMNS = 24, 100
"""Size of a screen."""


class ShortRepr:
    """Base class of dataclasses and pydantic models whose `repr` has at most `LINES` lines of `COLUMNS` columns."""

    def __str__(self) -> str:
        """Return the same, also for pydantic models, which have another text."""
        return repr(self)

    def __init_subclass__(cls, **options: Any) -> None:
        """Set it in each class, where `dataclass` would write its own."""
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = short_repr  # type: ignore[method-assign]


def short_repr(value: Any) -> str:
    """Return the fields of a value on a line, or one line each, abbreviated where they are long."""
    members = _members(value)
    name = type(value).__name__
    line = f"{name}({', '.join(f'{key}={_short(each, COLUMNS)}' for key, each in members.items())})"
    if columns(line) <= COLUMNS:
        return line
    shown = list(members.items())[: LINES - 3]
    rows = [f"    {key}={_short(each, COLUMNS - 6 - len(key))}," for key, each in shown]
    rest = list(members)[len(shown) :]
    if rest:
        rows.append(f"    ... {len(rest)} more: {_cut(', '.join(rest), COLUMNS - 24)}")
    return "\n".join([f"{name}(", *rows, ")"])


def columns(text: str) -> int:
    """Return how many columns a text takes in a terminal: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _members(value: Any) -> dict[str, Any]:
    if is_dataclass(value):
        return {each.name: getattr(value, each.name, None) for each in fields(value) if each.repr}
    return {name: getattr(value, name, None) for name in type(value).model_fields}


def _short(value: Any, width: int) -> str:
    """Return a text of at most that many columns."""
    if hasattr(value, "dtype") and getattr(value, "shape", None):  # an array of NumPy or TensorFlow
        shape = "x".join(map(str, value.shape))
        return _cut(f"array({shape} {getattr(value.dtype, 'name', value.dtype)})", width)
    if isinstance(value, str):
        return _cut(repr(value[: width + 1]), width)
    if isinstance(value, Mapping):
        pairs = (
            lambda left, item=item: _pair(f"{_short(item[0], left // 2)}: ", item[1], left) for item in value.items()
        )
        return _listed(pairs, len(value), "{", "}", width)
    if isinstance(value, tuple | list | set | frozenset):
        opening, closing = (
            ("(", ")") if isinstance(value, tuple) else ("[", "]") if isinstance(value, list) else ("{", "}")
        )
        items = (lambda left, item=item: _short(item, left) for item in value)
        return _listed(items, len(value), opening, closing, width)
    if isinstance(value, ShortRepr):
        name = type(value).__name__
        items = (lambda left, item=item: _pair(f"{item[0]}=", item[1], left) for item in _members(value).items())
        return _listed(items, len(_members(value)), f"{name}(", ")", width)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if getattr(type(value), "__repr__", None) is object.__repr__:  # its address tells nothing
        return _cut(f"<{type(value).__name__}{f' of {len(value):,}' if hasattr(value, '__len__') else ''}>", width)
    if callable(value):
        return _cut(f"<{getattr(value, '__qualname__', type(value).__name__)}>", width)
    return _cut(" ".join(repr(value).split()), width)


def _pair(name: str, value: Any, width: int) -> str:
    return name + _short(value, max(4, width - columns(name)))


def _listed(items: Iterable[Any], count: int, opening: str, closing: str, width: int) -> str:
    """Return the first items that fit, and how many more there are."""
    rest = f", ... {count:,} more"
    left = width - len(opening) - len(closing) - len(rest)
    parts: list[str] = []
    for item in islice(items, max(1, width // 3)):
        text = item(max(8, left if parts else left - 2))
        if parts and columns(text) + 2 > left:
            break
        parts.append(text)
        left -= columns(text) + 2
    more = count - len(parts)
    tail = f", ... {more:,} more" if more and parts else f"... {more:,} more" if more else ""
    return _cut(f"{opening}{', '.join(parts)}{tail}{closing}", width)


def _cut(text: str, width: int) -> str:
    """Return a text that ends in `...` where it is longer than that many columns."""
    if columns(text) <= width:
        return text
    kept, used = [], 3
    for letter in text:
        used += columns(letter)
        if used > width:
            break
        kept.append(letter)
    return f"{''.join(kept)}..."
