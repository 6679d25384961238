"""Readable messages for validation errors, which name the fields as a recipe does."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ...core.errors import unknown
from .section import Section


def describe_errors(error: ValidationError, root: type[Section]) -> str:
    """Return a sentence with a clause per error: the field, such as `optimizer.lr`, what it is, and what is allowed.

    Args:
        error: The error of pydantic.
        root: The section whose validation failed.
    """
    sentence = "; ".join(_describe(details, _locate(root, details["loc"])) for details in error.errors())
    return sentence if sentence.endswith("?") else f"{sentence}."


class _Location(NamedTuple):
    """Location of an error in a recipe."""

    path: str
    """Dotted path, such as `augmentation[0].mode`."""
    section: type[Section]
    """Section of the last field in the path."""
    choices: dict[str, type[Section]]
    """Sections that the last field may contain, by name."""


def _locate(root: type[Section], location: tuple[int | str, ...]) -> _Location:
    """Follow pydantic's path through the schema; it also contains the name of each selected section."""
    path, section = "", root
    choices: dict[str, type[Section]] = {}
    for number, part in enumerate(location, start=1):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in choices:
            section, choices = choices[part], {}
        elif part in section.model_fields:
            path += f".{part}"
            nested = list(_nested_sections(section.model_fields[part].annotation))
            choices = {each.model_fields["name"].default: each for each in nested if "name" in each.model_fields}
            section = nested[0] if nested and not choices else section
        elif number == len(location) and not choices:
            path += f".{part}"
    return _Location(path.removeprefix("."), section, choices)


def _nested_sections(annotation: Any) -> Iterator[type[Section]]:
    """Yield all section classes in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _nested_sections(part)


def _describe(details: ErrorDetails, location: _Location) -> str:
    received = details["input"]
    match details["type"]:
        case "extra_forbidden":
            name = location.section.model_fields.get("name")
            kind = f"field of {name.default}" if name else "field"
            allowed = [field for field in location.section.model_fields if field != "name"]
            message = str(unknown(kind, details["loc"][-1], allowed))
        case "union_tag_invalid":
            message = str(unknown("name", received["name"], location.choices))
        case "union_tag_not_found" | "model_attributes_type" | "model_type" if location.choices:
            message = f"must have a name (got {received!r}): there are {', '.join(location.choices)}"
        case "literal_error" if "'" in details["ctx"]["expected"]:  # not of numbers
            message = str(unknown("value", received, re.findall(r"'([^']*)'", details["ctx"]["expected"])))
        case "value_error":
            message = str(details["ctx"]["error"])
            prefix = f"{location.path.rpartition('.')[2]}: "
            if message.startswith(prefix):  # a nested document that has already described its own fields
                return f"{location.path}.{message.removeprefix(prefix).rstrip('.')}"
        case _:
            message = f"{details['msg'].replace('Input should be', 'must be')} (got {received!r})"
    return f"{location.path}: {message.rstrip('.')}" if location.path else message.rstrip(".")
