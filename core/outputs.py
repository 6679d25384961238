"""One output, or several by name: the form that models, targets and evaluations share."""

from collections.abc import Callable
from typing import Any


def map_outputs(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """`function` of what belongs to the one output, or a dict of its results where `first` has several by name."""
    if isinstance(first, dict):
        return {name: function(of_one, *(other[name] for other in others)) for name, of_one in first.items()}
    return function(first, *others)


def by_name(of_outputs: Any) -> dict[str, Any]:
    """Always a dict: the one output's name is empty."""
    return of_outputs if isinstance(of_outputs, dict) else {"": of_outputs}
