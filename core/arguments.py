"""Arguments of public functions, checked against the annotations of their parameters. Imports nothing heavy."""

import errno
import math
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from inspect import BoundArguments, Signature, signature
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import InputError, unknown

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

FUNCTION: Any = Callable
NUMBERS: dict[Any, type] = {int: Integral, float: Real}
"""What is accepted for a number: NumPy's numbers too, but no bool."""
TITLES = {
    NoneType: "None",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Path: "a path",
}

OPENERS = {"an Artifact": "export.load_artifact", "a keras.Model": "zoo.load_model"}
"""Functions that return what a parameter takes, for those who pass the path of a file."""


@dataclass(frozen=True)
class Range:
    """The range of a number, for annotations: `Annotated[int, Range(1)]`."""

    least: float
    most: float = math.inf

    def __contains__(self, number: float) -> bool:
        """Whether a number is in the range."""
        return self.least <= number <= self.most

    def __str__(self) -> str:
        """Return the end of a phrase such as "a whole number of 1 or more"."""
        return f"of {self.least} or more" if self.most == math.inf else f"from {self.least} to {self.most}"


Count = Annotated[int, Range(1)]
"""A number of things."""
Seed = Annotated[int, Range(0, 2**32 - 1)]
"""Of random numbers, as scikit-learn and NumPy take them."""

_short = Repr()
_short.maxstring = _short.maxother = 60


def check_arguments(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let `function` raise InputError where an argument has another type than its parameter is annotated with.

    The message names the argument, what was received, and what is allowed. Annotations are resolved at the first call,
    so names that a module imports for type checking only may be imported late or never.
    """

    @cache
    def annotations() -> dict[str, Any]:
        return get_type_hints(function, localns=_LateNames(), include_extras=True)

    parameters = signature(function)

    @wraps(function)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for name, value in bind_arguments(function, parameters, args, kwargs).arguments.items():
            expected = annotations().get(name, Any)
            kind = parameters.parameters[name].kind
            if kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD) and not accepts(expected, value):
                if isinstance(value, str) and (choices := _choices(expected)):
                    raise unknown(name, value, choices)
                *others, last = dict.fromkeys(allowed(expected))
                phrases = f"{', '.join(others)} or {last}" if others else last
                if isinstance(value, str | Path) and Path(value).suffix:
                    openers = [opener for phrase, opener in OPENERS.items() if phrase in (*others, last)]
                    phrases += f"; {' or '.join(openers)} opens a file" if openers else ""
                raise InputError(f"{name} is {received(value)}; {function.__name__} requires {phrases}.")
            if isinstance(value, str | Path) and Path in get_args(expected):
                check_path(name, value)
        return function(*args, **kwargs)

    return checked


def check_path(name: str, value: str | Path) -> None:
    """Raise InputError if no file can have this path; whether there is one, the function itself finds out."""
    if value == "":  # which `Path` takes for the working directory
        raise InputError(f"{name} is an empty text; it must be a path.")
    if "://" in str(value):
        return
    try:
        os.stat(value)
    except ValueError as error:
        raise InputError(f"{name} is {received(value)}, which is not a path: it has a null character.") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{name} is {received(value)}, which is too long for a path.") from error


def bind_arguments(
    function: Callable[..., Any], parameters: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> BoundArguments:
    """Return the arguments of a call by name, as `Signature.bind`, which does not name the function in its error."""
    try:
        return parameters.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{function.__name__}: {error}; the call has the form {function.__name__}{_form(parameters)}."
        ) from None


def _form(parameters: Signature) -> str:
    """Return the names of the parameters as in a call, without annotations and defaults."""
    plain = [each.replace(annotation=each.empty, default=each.empty) for each in parameters.parameters.values()]
    return str(Signature(plain))


def accepts(expected: Any, value: Any) -> bool:
    """Whether `value` has the type of an annotation, at any depth; a list may stand for a tuple."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        return any(accepts(option, value) for option in arguments)
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in arguments)
    if origin is Annotated:
        return accepts(arguments[0], value) and all(value in limit for limit in arguments[1:] if type(limit) is Range)
    if expected is None or expected is NoneType:
        return value is None
    if expected is bool:
        kind = type(value)
        return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))
    if expected in NUMBERS:
        return isinstance(value, NUMBERS[expected]) and not isinstance(value, bool)
    kind = origin or expected
    if expected is Any or not isinstance(kind, type):  # or a type variable
        return True
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, member) for member in _members(kind))
    if kind is FUNCTION:
        return callable(value)
    if issubclass(kind, str):
        return isinstance(value, str)
    if issubclass(kind, tuple) and arguments and isinstance(value, list | tuple):
        items = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return len(items) == len(value) and all(map(accepts, items, value))
    if not isinstance(value, kind):
        return False
    if issubclass(kind, Mapping) and arguments:
        return all(accepts(arguments[0], key) and accepts(arguments[1], item) for key, item in value.items())
    if kind in (Iterable, Collection, Sequence, list) and arguments:
        return not isinstance(value, str | bytes) and all(accepts(arguments[0], item) for item in value)
    return True


def _members(protocol: type) -> set[str]:
    """Return the names of the attributes and methods of a protocol."""
    names = {name for kind in protocol.__mro__[:-1] for name in (*vars(kind), *vars(kind).get("__annotations__", ()))}
    return {name for name in names if name == "__call__" or not name.startswith("_")}


def allowed(expected: Any) -> list[str]:
    """Describe what an annotation accepts, one phrase for each alternative."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        return [phrase for option in arguments for phrase in allowed(option)]
    if origin is Literal:
        return [repr(option) for option in arguments]
    if origin is Annotated:
        limits = "".join(f" {limit}" for limit in arguments[1:] if type(limit) is Range)
        return [phrase + limits for phrase in allowed(arguments[0])]
    if expected in TITLES:
        return [TITLES[expected]]
    kind = origin or expected
    if not isinstance(kind, type):
        return ["any value"]
    if kind is FUNCTION:
        return ["a function"]
    if issubclass(kind, tuple) and arguments and arguments[-1] is not ...:
        return [f"({', '.join(' or '.join(allowed(item)) for item in arguments)})"]
    of = [" or ".join(allowed(item)) for item in arguments if item is not ...]
    if issubclass(kind, Mapping):
        return [f"a dict from {of[0]} to {of[1]}" if of else "a dict"]
    if kind in (Iterable, Collection, Sequence, list, tuple):
        return [f"a list (each {of[0]})" if of else "a list"]
    module = kind.__module__.partition(".")[0]
    name = kind.__name__ if module in ("builtins", "pocketzoo") else f"{module}.{kind.__name__}"
    return [f"{_article(name)} {name}"]


def _article(noun: str) -> str:
    return "an" if noun[0] in "AEIOaeio" else "a"


def _choices(expected: Any) -> list[str]:
    """Return the strings that an annotation allows, where it allows nothing else but None; else an empty list."""
    if get_origin(expected) is Literal:
        options = get_args(expected)
        return list(options) if all(isinstance(option, str) for option in options) else []
    if get_origin(expected) in (Union, UnionType):
        others = [option for option in get_args(expected) if option is not NoneType]
        return _choices(others[0]) if len(others) == 1 else []
    return []


def received(value: Any) -> str:
    """Describe a value in a few words."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape != ():
        return f"an array of shape {tuple(value.shape)}"
    if type(value).__module__ == "builtins" and type(value) is not object:
        return _short.repr(value)
    kind = type(value).__name__
    return f"{_article(kind)} {kind}"


class _LateNames(Mapping[str, Any]):
    """Names that annotations use and that a module may import for type checking only."""

    def __getitem__(self, name: str) -> Any:
        if name != "keras":
            raise KeyError(name)
        return sys.modules.get("keras", _NotImported)

    def __iter__(self) -> Any:
        return iter(("keras",))

    def __len__(self) -> int:
        return 1


class _NotImported:
    """Stands for Keras before it is imported, when nothing can be a Keras model."""

    class Model:
        """A keras.Model."""

    Model.__module__ = "keras"
