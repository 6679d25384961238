"""Inputs, outputs and lists of names as short texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..export.artifact.tensors import TensorInfo

NAMES_SHOWN = 5


def tensor_text(tensor: "TensorInfo") -> str:
    """Describe a tensor, such as `image: 1x32x32x1 NHWC int8, scale 1, zero point -128`."""
    shape = "x".join("any" if side is None else str(side) for side in tensor.shape) or "one value"
    quantization = "" if tensor.scale is None else f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}"
    layout = f"{tensor.layout} " if tensor.is_image else ""
    return f"{tensor.name}: {shape} {layout}{tensor.dtype}{quantization}"


def abbreviate(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "") or "none"
