"""What a file that another tool made says of itself, as far as it says anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...core.short_repr import ShortRepr

Activation = Literal["softmax", "log_softmax", "sigmoid", "linear"]
"""What computes an output, where that tells its meaning: `linear` are products and sums without an activation."""
MOST_AXES = 32
"""Axes of a tensor; the product of millions of numbers takes minutes."""
MOST_PASSED = 20
"""Operators without a meaning of their own between an output and what computes it, such as casts."""


@dataclass(frozen=True)
class FileFacts(ShortRepr):
    """Contents of a file. All texts come from the file as they are."""

    kind: str
    """Format with its version, such as `ONNX, IR version 8` or `TFLite, schema version 3`."""
    made_by: str
    """The tool that wrote it and its version; empty if the file does not say."""
    versions: Mapping[str, int]
    """ONNX: version of each operator set by its domain, `ai.onnx` for the standard one."""
    operators: Mapping[str, int]
    """Count of each operator, by name and version, in the main graph."""
    weights: int
    """Number of the stored constants: weights, biases, statistics and tables."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Texts that the file has about the model, such as name, author, license and free properties."""
    activations: Mapping[str, Activation] = field(default_factory=dict)
    """What computes an output, by its name, where that is known."""
    softmax_axes: Mapping[str, int] = field(default_factory=dict)
    """Axis of the softmax of an output, by its name; of others it is the last."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the classes of an output, by its name, from TFLite metadata."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Values of black and white pixels, by name of the input, from the normalization in TFLite metadata."""
    remarks: tuple[str, ...] = ()
    """What in the metadata cannot be used, and why."""
