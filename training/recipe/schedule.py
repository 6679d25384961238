"""The section `schedule` of a recipe: the learning rate over the run, as a share of `optimizer.lr`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from .section import NAMED, NonNegative, Positive, Section, Share


class _Schedule(Section):
    name: str
    warmup_epochs: NonNegative = 1.0
    """Epochs over which the learning rate rises from zero; half of the run at most."""


class Constant(_Schedule):
    """Stays."""

    name: Literal["constant"] = "constant"


class Step(_Schedule):
    """Falls by `factor` at each of the `milestones`."""

    name: Literal["step"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Shares of the run."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @field_validator("milestones")
    @classmethod
    def _rise(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if list(milestones) != sorted(set(milestones)):
            raise ValueError(f"they must rise (got {list(milestones)})")
        return milestones


class Exponential(_Schedule):
    """Falls by the same factor in every step, to `final` of the highest."""

    name: Literal["exponential"] = "exponential"
    final: Annotated[float, Field(gt=0, lt=1)] = 0.01


class Cosine(_Schedule):
    """Falls on half a cosine, to `final` of the highest (arXiv:1608.03983, without restarts)."""

    name: Literal["cosine"] = "cosine"
    final: Share = 0.0


class OneCycle(Section):
    """Rises on a cosine over the first `rise` of the run, then falls on one (arXiv:1708.07120)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Of the highest, at the beginning."""
    final: Share = 4e-6
    """Of the highest, at the end."""


class Plateau(_Schedule):
    """Falls by `factor` after `patience` epochs without a better validation loss."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    patience: PositiveInt = 5
    lowest: Positive = 1e-3
    """Of the highest: it falls no further."""


Schedule = Annotated[Constant | Step | Exponential | Cosine | OneCycle | Plateau, Field(discriminator="name"), NAMED]
