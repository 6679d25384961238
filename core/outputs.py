"""One output, or a dict of several by name: the form that models, targets and evaluations share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

TaskNames = str | Mapping[str, str]
"""Name of the task of the only output, or a dict by name of the output; so are the next two."""
LabelNames = Sequence[str] | Mapping[str, Sequence[str]]
Flags = bool | Mapping[str, bool]
PixelRange = str | Sequence[float] | Mapping[str, str | Sequence[float]]
"""Lowest and highest value, or text such as `"0..1"`; a dict by name of the input for a model with several inputs."""


def map_outputs(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Return the result of `function` for the only output, or a dict of results by name if `first` is a dict."""
    if isinstance(first, dict):
        return {name: function(value, *(other[name] for other in others)) for name, value in first.items()}
    return function(first, *others)


def by_name(outputs: Any) -> dict[str, Any]:
    """Return the values by output name; the name of a single output is empty."""
    return outputs if isinstance(outputs, dict) else {"": outputs}
