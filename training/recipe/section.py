"""Base class of the sections of a recipe, their common field types, and reading them from YAML files."""

from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator

from ...core.documents import read_yaml
from ...core.errors import InputError
from ...core.short_repr import ShortRepr


class Section(ShortRepr, BaseModel):
    """A part of a recipe: an unknown field or an impossible value is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_bool_as_number(cls, fields: Any) -> Any:
        """Raise an error for `true` where a number is expected; in Python `True` is the integer 1."""
        for name, value in fields.items() if isinstance(fields, dict) else ():
            annotation = cls.model_fields[name].annotation if name in cls.model_fields else bool
            if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
                raise ValueError(f"{name} cannot be true or false (got {str(value).lower()})")
        return fields

    def explicit_fields(self) -> dict[str, Any]:
        """Return the fields that were set explicitly, without defaults, and the `name` of every section."""
        names = [name for name in type(self).model_fields if name == "name" or name in self.model_fields_set]
        return {name: _explicit(getattr(self, name)) for name in names}

    def given(self) -> dict[str, Any]:
        """Return `explicit_fields()`; the former name."""
        return self.explicit_fields()


def read_yaml_fields(path: str | Path, kind: str) -> dict[str, Any]:
    """Return the fields of a YAML file.

    Args:
        path: The file.
        kind: What the file should contain, such as "recipe", for error messages.

    Raises:
        InputError: There is no such file, or it is not a YAML mapping.
    """
    fields = read_yaml(path, f"a {kind}")
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise InputError(f"{path} is not a {kind}: a {kind} consists of `field: value` lines.")
    return fields


def _explicit(value: Any) -> Any:
    if isinstance(value, Section):
        return value.explicit_fields()
    return [_explicit(part) for part in value] if isinstance(value, tuple) else value


def _from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NAMED = BeforeValidator(_from_name)
"""Accepts the `name` alone for a section that is selected by its name."""
ONE_OR_SEVERAL = Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one")
"""Distinguishes a list from a single value, by the tags `one` and `several`."""
Count = Annotated[int, Field(gt=0, le=10**9)]
"""A number of things, which native libraries take in 32 bits."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[Positive, Field(strict=True)]
"""A positive number, and no text or truth value that stands for one."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""A number from 0 up to, but not including, 1."""
