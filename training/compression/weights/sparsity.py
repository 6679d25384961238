"""How sparse a model is made: how many weights become zero, in what pattern, where, and when."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from ....core.errors import InputError
from ...recipe.section import Section, Share
from ...recipe.validation_errors import describe_errors

BLOCK = re.compile(r"block:(\d+)x(\d+)")
M_BY_N = re.compile(r"(\d+):(\d+)")
Patterns = tuple[str, ...]
"""Layer names with the wildcards of the shell: `stage3_*`."""


class Sparsity(Section):
    """What `prune` does. Layers are named as in the flat form, `zoo.flatten_model(model)`."""

    target: Share = 0.5
    """Share of zeros at the end; of the pattern M:N it is M/N."""
    pattern: str = "element"
    """`element`: single weights. `block:HxW`: blocks of H rows and W columns of the kernel as a matrix, in which a
    column is an output channel; of a convolution it is (height * width * channels in, channels out). `M:N`: M zeros
    in every N consecutive input channels, such as 2:4."""
    pooling: Literal["avg", "max"] = "avg"
    """What counts of a block: the mean or the greatest of its magnitudes."""
    scope: Literal["layer", "global"] = "layer"
    """`layer`: every kernel comes to the target. `global`: all of them together, by one threshold."""
    layers: dict[str, Share] = Field(default_factory=dict)
    """Targets of their own, after patterns of layer names; the first that matches counts."""
    schedule: Literal["polynomial", "constant"] = "polynomial"
    """`polynomial`: rises from `initial` as 1 - (1 - t)^3 (arXiv:1710.01878). `constant`: all at once at `begin`, which
    is what M:N does by default."""
    initial: Share = 0.0
    """Share of zeros at `begin` on the polynomial."""
    begin: Share = 0.0
    """Share of the run's steps after which pruning begins."""
    end: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the run's steps after which the target is reached; what is left makes up for the loss."""
    frequency: PositiveInt | None = None
    """Steps between two updates of the masks; by default so that there are about 20."""
    include: Patterns = ("*",)
    """Layers that are pruned, if they are convolutions (but depthwise) or dense layers and not frozen."""
    exclude: Patterns = ()
    """Of these, layers that are not."""
    keep_ends: bool = True
    """Keep the first layer and the last, which have few weights and lose most by it, as they are."""
    policy: Literal["xnnpack"] | None = None
    """`xnnpack`: only the 1x1 convolutions, and only of a model that XNNPACK infers with sparse kernels: TF-MOT's
    `PruneForLatencyOnXNNPack`."""

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"sparsity: {describe_errors(error, type(self))}.") from error

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns of a block."""
        match = BLOCK.fullmatch(self.pattern)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def m_by_n(self) -> tuple[int, int] | None:
        """Zeros, and the channels among which they are."""
        match = M_BY_N.fullmatch(self.pattern)
        return (int(match[1]), int(match[2])) if match else None

    @model_validator(mode="before")
    @classmethod
    def _by_default_as_the_pattern_says(cls, fields: Any) -> Any:
        match = M_BY_N.fullmatch(str(fields.get("pattern"))) if isinstance(fields, dict) else None
        if not match or not 1 <= int(match[1]) < int(match[2]):
            return fields
        return {"target": int(match[1]) / int(match[2]), "schedule": "constant"} | fields

    @field_validator("pattern")
    @classmethod
    def _is_known(cls, pattern: str) -> str:
        block, m_by_n = (expression.fullmatch(pattern) for expression in (BLOCK, M_BY_N))
        if block and all(int(side) for side in block.groups()):
            return pattern
        if m_by_n and 1 <= int(m_by_n[1]) < int(m_by_n[2]):
            return pattern
        if pattern != "element":
            raise ValueError(f"must be element, block:HxW such as block:4x1, or M:N such as 2:4 (got {pattern!r})")
        return pattern

    @model_validator(mode="after")
    def _fits_together(self):
        if self.m_by_n and (self.target != self.m_by_n[0] / self.m_by_n[1] or self.scope == "global" or self.layers):
            raise ValueError(
                f"pattern {self.pattern} makes {self.m_by_n[0]} of {self.m_by_n[1]} weights zero in every layer; it "
                "takes no other target, no global scope and no targets by layer"
            )
        if self.scope == "global" and self.layers:
            raise ValueError("scope is global, which takes no targets by layer")
        if self.initial > self.target:
            raise ValueError(f"initial is {self.initial}; it takes no more than the target, {self.target}")
        if self.begin >= self.end:
            raise ValueError(f"begin is {self.begin}; it takes less than end, {self.end}")
        return self
