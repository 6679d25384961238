"""Functions of the user in a recipe: the functions themselves in Python, their names in a file.

A file never runs code unless the caller allows it: a name in a recipe is refused before anything is imported.
"""

import importlib
import os
import sys
from collections.abc import Callable
from functools import reduce
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from ...core.errors import InputError, first_line

NAME = "function"
"""Name of the transformation, and of its field."""


def name_of(function: Callable[..., Any]) -> str:
    """Return the name by which a recipe file refers to a function: `my_package.my_module:my_function`.

    Other callables have a text that no file can import.
    """
    kind = type(function)
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}:{function.__qualname__}"
    return f"an object of {kind.__module__}:{kind.__qualname__}"


def is_name(value: Any) -> bool:
    """Return whether a value in a list of transformations is the name of a function, not of a transformation."""
    return isinstance(value, str) and (":" in value or "." in value)


def import_functions(fields: Any) -> Any:
    """Return the fields of a recipe with the functions that its `augmentation` names, at any depth.

    Modules are also found in the current directory.

    Raises:
        InputError: A name cannot be imported.
    """
    if isinstance(fields, list):
        return [import_functions(item) for item in fields]
    if not isinstance(fields, dict):
        return fields
    found = {name: import_functions(item) for name, item in fields.items()}
    if "augmentation" in found:
        steps = found["augmentation"]
        found["augmentation"] = [*map(_imported, steps)] if isinstance(steps, list) else _imported(steps)
    return found


def _imported(step: Any) -> Any:
    if is_name(step):
        return _import(step)
    if isinstance(step, dict) and step.get("name") == NAME and isinstance(step.get(NAME), str):
        return step | {NAME: _import(step[NAME])}
    return step


def _import(name: str) -> Any:
    module, _, attributes = name.partition(":") if ":" in name else name.rpartition(".")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return reduce(getattr, attributes.split("."), importlib.import_module(module))
    except Exception as error:  # whatever the module raises
        raise InputError(
            f"recipe: the function {name!r} of the augmentation cannot be imported: {first_line(error)}."
        ) from error


def _refuse_name(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(
            f"{value!r} is code of your own, which runs only if you allow it: Recipe.load(path, allow_code=True), or "
            "--allow-code"
        )
    return value


UserFunction = Annotated[
    Callable[..., Any], BeforeValidator(_refuse_name), PlainSerializer(name_of, return_type=str, when_used="always")
]
"""A function; written to files as its name."""
