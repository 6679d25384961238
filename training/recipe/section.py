"""What the sections of a recipe have in common."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: an unknown field or an impossible value is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


def _finite(value: float) -> float:
    if value in (float("inf"), float("-inf")) or value != value:
        raise ValueError("it takes a finite number")
    return value


NAMED = BeforeValidator(_named)
"""Lets a section that is chosen by `name` be given as the name alone."""
Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""0 or more and less than 1."""
