"""Settings of pruning: how many weights become zero, in which pattern, in which layers, and when."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ....core.errors import InputError
from ...recipe.section import Count, Section, Share
from ...recipe.validation_errors import describe_errors

BLOCK = re.compile(r"block:([0-9]{1,5})x([0-9]{1,5})")
M_BY_N = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
Patterns = tuple[str, ...]
"""Layer names with shell-style wildcards: `stage3_*`."""


class Sparsity(Section):
    """Settings of `prune`. Layer names are those of the flat form, `zoo.flatten_model(model)`."""

    target: Share = 0.5
    """Share of zeros at the end; M/N for the pattern M:N."""
    pattern: str = "element"
    """`element`: single weights. `block:HxW`: blocks of H rows and W columns of the kernel as a matrix whose columns
    are the output channels; that of a convolution is (height * width * input channels, output channels). `M:N`: M
    zeros in every N consecutive input channels, such as 2:4."""
    pooling: Literal["avg", "max"] = "avg"
    """Magnitude of a block: the mean or the maximum of its weights' magnitudes."""
    scope: Literal["layer", "global"] = "layer"
    """`layer`: every kernel reaches the target. `global`: all kernels together do, with one threshold."""
    layers: dict[str, Share] = Field(default_factory=dict)
    """Target by pattern of layer names, in place of `target`; the first matching pattern applies."""
    schedule: Literal["polynomial", "constant"] = "polynomial"
    """`polynomial`: the sparsity rises from `initial` as 1 - (1 - t)^3 (arXiv:1710.01878). `constant`: all at once at
    `begin`, the default of M:N."""
    initial: Share = 0.0
    """Share of zeros at `begin` of the polynomial schedule."""
    begin: Share = 0.0
    """Share of the run's steps after which pruning begins."""
    end: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the run's steps after which the target is reached; the remaining steps recover accuracy."""
    frequency: Count | None = None
    """Steps between two mask updates; by default chosen for about 20 updates."""
    include: Patterns = ("*",)
    """Layers to prune, if they are dense layers or convolutions other than depthwise, and not frozen."""
    exclude: Patterns = ()
    """Exceptions from `include`."""
    keep_ends: bool = True
    """Do not prune the first and the last layer, which have few weights and are the most sensitive."""
    policy: Literal["xnnpack"] | None = None
    """`xnnpack`: prune only 1x1 convolutions, and only in a model for which XNNPACK has sparse inference, as TF-MOT's
    `PruneForLatencyOnXNNPack` does."""

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"sparsity: {describe_errors(error, type(self))}") from error

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns of a block; None for other patterns."""
        match = BLOCK.fullmatch(self.pattern)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def m_by_n(self) -> tuple[int, int] | None:
        """M and N of the pattern M:N; None for other patterns."""
        match = M_BY_N.fullmatch(self.pattern)
        return (int(match[1]), int(match[2])) if match else None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_pattern(cls, fields: Any) -> Any:
        match = M_BY_N.fullmatch(str(fields.get("pattern"))) if isinstance(fields, dict) else None
        if not match or not 1 <= int(match[1]) < int(match[2]):
            return fields
        return {"target": int(match[1]) / int(match[2]), "schedule": "constant"} | fields

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        block, m_by_n = (expression.fullmatch(pattern) for expression in (BLOCK, M_BY_N))
        if block and all(int(side) for side in block.groups()):
            return pattern
        if m_by_n and 1 <= int(m_by_n[1]) < int(m_by_n[2]):
            return pattern
        if pattern != "element":
            raise ValueError(f"must be element, block:HxW such as block:4x1, or M:N such as 2:4 (got {pattern!r})")
        return pattern

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.m_by_n and (self.target != self.m_by_n[0] / self.m_by_n[1] or self.scope == "global" or self.layers):
            raise ValueError(
                f"pattern {self.pattern} sets {self.m_by_n[0]} of {self.m_by_n[1]} weights to zero in every layer; it "
                "allows no other target, no global scope and no targets by layer"
            )
        if self.scope == "global" and self.layers:
            raise ValueError("scope is global, which allows no targets by layer")
        if self.initial > self.target:
            raise ValueError(f"initial is {self.initial}; it must be at most the target, {self.target}")
        if self.begin >= self.end:
            raise ValueError(f"begin is {self.begin}; it must be less than end, {self.end}")
        return self
