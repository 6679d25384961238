"""What the sections of a recipe have in common."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator


class Section(BaseModel):
    """A part of a recipe: an unknown field or an impossible value is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, fields: Any) -> Any:
        """Python takes true for 1."""
        for name, value in fields.items() if isinstance(fields, dict) else ():
            annotation = cls.model_fields[name].annotation if name in cls.model_fields else bool
            if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
                raise ValueError(f"{name} takes no true or false (got {str(value).lower()})")
        return fields

    def given(self) -> dict[str, Any]:
        """What was said explicitly, besides defaults; and the names by which sections were chosen."""
        fields = [name for name in type(self).model_fields if name == "name" or name in self.model_fields_set]
        return {name: _given(getattr(self, name)) for name in fields}


def _given(value: Any) -> Any:
    if isinstance(value, Section):
        return value.given()
    return [_given(part) for part in value] if isinstance(value, tuple) else value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NAMED = BeforeValidator(_named)
"""Lets a section that is chosen by `name` be given as the name alone."""
ONE_OR_SEVERAL = Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one")
"""Tells a list from what else it may be, by the tags `one` and `several`."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""0 or more and less than 1."""
