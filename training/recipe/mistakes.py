"""What is wrong with a recipe, said by the names of its fields."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ...core.errors import unknown
from .section import Section


def sentences(error: ValidationError, recipe: type[Section]) -> str:
    """One sentence for each mistake: the field as `optimizer.lr`, what came, and what is allowed."""
    return "; ".join(_sentence(problem, _place(recipe, problem["loc"])) for problem in error.errors())


class _Place(NamedTuple):
    """Where in a recipe something is."""

    path: str
    """As `augmentation[0].mode`."""
    section: type[Section]
    """What the last field of the path belongs to."""
    choices: dict[str, type[Section]]
    """By name, what the place itself may be."""


def _place(recipe: type[Section], location: tuple[int | str, ...]) -> _Place:
    """Follows pydantic's path, which also has the name of each section that was chosen, through the schema."""
    path, section, choices = "", recipe, {}
    for number, part in enumerate(location, start=1):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in choices:
            section, choices = choices[part], {}
        elif part in section.model_fields:
            path += f".{part}"
            inside = list(_sections(section.model_fields[part].annotation))
            choices = {one.model_fields["name"].default: one for one in inside if "name" in one.model_fields}
            section = inside[0] if inside and not choices else section
        elif number == len(location) and not choices:
            path += f".{part}"
    return _Place(path.removeprefix("."), section, choices)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """All kinds of sections that a field's type speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _sections(part)


def _sentence(problem: ErrorDetails, place: _Place) -> str:
    came = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            name = place.section.model_fields.get("name")
            what = f"field of {name.default}" if name else "field"
            said = str(unknown(what, problem["loc"][-1], [one for one in place.section.model_fields if one != "name"]))
        case "union_tag_invalid":
            said = str(unknown("name", came["name"], place.choices))
        case "union_tag_not_found" | "model_attributes_type" | "model_type" if place.choices:
            said = f"must have a name (got {came!r}): there are {', '.join(place.choices)}"
        case "literal_error":
            said = str(unknown("value", came, re.findall(r"'([^']*)'", problem["ctx"]["expected"])))
        case "value_error":
            said = str(problem["ctx"]["error"])
            inside = f"{place.path.rpartition('.')[2]}: "
            if said.startswith(inside):  # a section that speaks for itself, by its own name
                return f"{place.path}.{said.removeprefix(inside).rstrip('.')}"
        case _:
            said = f"{problem['msg'].replace('Input should be', 'must be')} (got {came!r})"
    return f"{place.path}: {said.rstrip('.')}" if place.path else said.rstrip(".")
