"""The section `schedule` of a recipe: the learning rate over the run, relative to `optimizer.lr`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from .section import NAMED, Count, NonNegative, Positive, Section, Share


class _Schedule(Section):
    name: str
    warmup_epochs: NonNegative = 1.0
    """Epochs of linear warmup from 0; at most half of the run."""


class Constant(_Schedule):
    """Constant learning rate."""

    name: Literal["constant"] = "constant"


class Step(_Schedule):
    """Multiplied by `factor` at each of the `milestones`; warmup ends before the first."""

    name: Literal["step"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Positions in the run, from 0 to 1."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @field_validator("milestones")
    @classmethod
    def _check_increasing(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if list(milestones) != sorted(set(milestones)):
            raise ValueError(f"must be increasing (got {list(milestones)})")
        return milestones


class Exponential(_Schedule):
    """Exponential decay to the share `final` of the peak."""

    name: Literal["exponential"] = "exponential"
    final: Annotated[float, Field(gt=0, lt=1)] = 0.01


class Cosine(_Schedule):
    """Cosine decay to the share `final` of the peak (arXiv:1608.03983, without restarts)."""

    name: Literal["cosine"] = "cosine"
    final: Share = 0.0


class OneCycle(Section):
    """One cycle: rises on a cosine over the share `rise` of the run, then falls on one (arXiv:1708.07120)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Initial learning rate, as a share of the peak."""
    final: Share = 4e-6
    """Final learning rate, as a share of the peak."""


class Plateau(_Schedule):
    """Multiplied by `factor` after `patience` epochs without a better validation loss."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    patience: Count = 5
    lowest: Positive = 1e-3
    """Minimum learning rate, as a share of the peak."""


Schedule = Annotated[Constant | Step | Exponential | Cosine | OneCycle | Plateau, Field(discriminator="name"), NAMED]
