"""What `pocketzoo compress` is told: a YAML file with a section for each stage that is wanted."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationError, model_validator

from ..core.errors import InputError
from ..training.compression.weights.sparsity import Sparsity
from ..training.recipe.recipe import Recipe
from ..training.recipe.section import Positive, Section, read_yaml_fields
from ..training.recipe.validation_errors import describe_errors


class Trained(Section):
    """What all stages that train have."""

    recipe: Recipe | None = None
    """How; what it does not say is as its command does it."""


class Channels(Trained):
    """Channels are removed: `training.prune_channels`."""

    budget: str = "macs:0.5"
    criterion: str = "taylor"
    scope: Literal["global", "layer"] = "global"
    round_to: PositiveInt = 8
    steps: PositiveInt = 1


class Distillation(Trained):
    """The dense parent teaches what is left of it: `training.distill`."""

    temperature: Positive = 4.0
    weight: float = Field(0.9, ge=0, le=1)
    features: tuple[str, ...] = ()
    """Endpoints at which the student is to be like its parent too."""


class SparsityStage(Sparsity, Trained):
    """Weights become zero: `training.prune`."""


class Clusters(Trained):
    """Kernels come to few different weights: `training.cluster`."""

    clusters: int = Field(16, ge=3, le=256)
    start: Literal["kmeans++", "linear", "density"] = "kmeans++"


class Quantization(Trained):
    """Training goes on with fake quantisation: `training.quantize_aware`."""

    activation_bits: Literal[8, 16] = 8


class Export(Section):
    """What is left is converted and proven: `export.export_model`."""

    targets: tuple[str, ...] = ("edge",)


class Spec(Section):
    """The stages, in the order in which they are done; one that is left out is not done."""

    channels: Channels | None = None
    distillation: Distillation | None = None
    sparsity: SparsityStage | None = None
    clusters: Clusters | None = None
    quantization: Quantization | None = None
    export: Export | None = None

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"spec: {describe_errors(error, type(self))}.") from error

    @classmethod
    def load(cls, path: str | Path) -> "Spec":
        """Reads a spec from a YAML file.

        Raises:
            InputError: There is no such file, it is no YAML mapping, or a field is wrong; the message names the field.
        """
        return cls(**read_yaml_fields(path, "compression spec"))

    @model_validator(mode="before")
    @classmethod
    def _named_is_wanted(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """A section that is named and says nothing has all its defaults."""
        return {name: {} if section is None else section for name, section in fields.items()}

    @model_validator(mode="after")
    def _does_something(self):
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(f"no stage is given; there are {', '.join(type(self).model_fields)}")
        return self
