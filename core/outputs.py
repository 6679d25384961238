"""One output, or a dict of several by name: the form that models, targets and evaluations share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .errors import InputError

TaskNames = str | Mapping[str, str]
"""Name of the task of the only output, or a dict by name of the output; so are the next two."""
LabelNames = Sequence[str] | Mapping[str, Sequence[str]]
Flags = bool | Mapping[str, bool]
PixelRange = str | Sequence[float] | Mapping[str, str | Sequence[float]]
"""Lowest and highest value, or text such as `"0..1"`; a dict by name of the input for a model with several inputs."""


def check_labels(labels: Iterable[object]) -> tuple[str, ...]:
    """Return the labels of an output as texts.

    Raises:
        InputError: One is no text in Unicode or has a NUL, which ends texts in C; or all are empty.
    """
    names = tuple(map(str, labels))
    for name in names:
        if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InputError(f"labels has {name!r}; labels are texts in Unicode without NUL and surrogates.")
    if names and not any(name.strip() for name in names):
        raise InputError("labels has nothing but empty names; name the classes or values, or leave out labels.")
    return names


def map_outputs(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Return the result of `function` for the only output, or a dict of results by name if `first` is a dict."""
    if isinstance(first, dict):
        return {name: function(value, *(other[name] for other in others)) for name, value in first.items()}
    return function(first, *others)


def by_name(outputs: Any) -> dict[str, Any]:
    """Return the values by output name; the name of a single output is empty."""
    return outputs if isinstance(outputs, dict) else {"": outputs}
