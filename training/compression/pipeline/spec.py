"""The spec of a compression: which stages there are, and the settings of each."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ....core.errors import InputError
from ...recipe.recipe import Recipe
from ...recipe.section import Count, Positive, Section, read_yaml_fields
from ...recipe.user_functions import import_functions
from ...recipe.validation_errors import describe_errors
from ..channels.choose.cost_limits import Budget
from ..weights.sparsity import Sparsity


class TrainedStage(Section):
    """Settings of every stage that trains."""

    recipe: Recipe | None = None
    """How to train; fields that it leaves out are those of the stage's own default recipe."""


class ChannelStage(TrainedStage):
    """Channels are removed: `training.prune_channels`."""

    budget: str = "macs:0.5"
    criterion: Literal["l1", "l2", "fpgm", "bn_gamma", "taylor", "obd", "activation", "random"] = "taylor"
    scope: Literal["global", "layer"] = "global"
    round_to: Count = 8
    steps: int = Field(1, gt=0, le=1000)
    keep_sparsity: bool | None = None

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, budget: str) -> str:
        Budget.parse(budget, measure=lambda model: 0.0)
        return budget


class DistillationStage(TrainedStage):
    """The original model teaches the compressed one: `training.distill`."""

    temperature: Positive = 4.0
    weight: float = Field(0.9, ge=0, le=1)
    features: tuple[str, ...] = ()
    """Endpoints whose attention maps are to match the teacher's."""
    keep_sparsity: bool | None = None


class SparsityStage(Sparsity, TrainedStage):
    """Weights are set to zero: `training.prune`."""


class ClusterStage(TrainedStage):
    """Kernels get few distinct weights: `training.cluster`."""

    clusters: int = Field(16, ge=3, le=256)
    start: Literal["kmeans++", "linear", "density"] = "kmeans++"


class QuantizationStage(TrainedStage):
    """The model is trained with fake quantization: `training.quantize_aware`."""

    activation_bits: Literal[8, 16] = 8


class ExportStage(Section):
    """The result is exported: `export.export_model`, which `training` leaves to its caller."""

    targets: tuple[str, ...] = ("edge",)


class CompressionSpec(Section):
    """The stages of a compression, in the order in which they run; a stage that is left out does not run."""

    channels: ChannelStage | None = None
    distillation: DistillationStage | None = None
    sparsity: SparsityStage | None = None
    clusters: ClusterStage | None = None
    quantization: QuantizationStage | None = None
    export: ExportStage | None = None

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"spec: {describe_errors(error, type(self))}") from error

    @classmethod
    def load(cls, path: str | Path, *, allow_code: bool = False) -> "CompressionSpec":
        """Read a spec from a YAML file.

        Args:
            path: The file.
            allow_code: Import the functions that its recipes name, as in `Recipe.load`.

        Raises:
            InputError: There is no such file, it is not a YAML mapping, or a field is wrong; the message names the
                field.
        """
        fields = read_yaml_fields(path, "compression spec")
        return cls(**(import_functions(fields) if allow_code else fields))

    @model_validator(mode="before")
    @classmethod
    def _empty_section_has_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: {} if section is None else section for name, section in fields.items()}

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(f"no stage is given; there are {', '.join(type(self).model_fields)}")
        return self
