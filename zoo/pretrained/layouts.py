"""What the publishers' layouts have in common: pairs of their tensors and our weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from .anatomy import Part, Shape


@dataclass(frozen=True)
class Pair:
    """A publisher's tensor and the weight of ours that it is."""

    ours: str
    """`layer/variable`."""
    tensor: np.ndarray
    """On our axes."""
    absorbed: bool = False
    """Whether it is a bias that our convolution lacks, and `ours` the mean of the BatchNorm that makes it idle."""


def some(names: Sequence[str], most: int = 8) -> str:
    """How many, and the first of them."""
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{rest}"


def heirs(parts: dict[str, Part]) -> dict[str | None, str]:
    """The BatchNorm that follows a layer, by the layer's name."""
    return {part.follows: part.name for part in parts.values() if part.is_norm}


def is_depthwise(part: Part) -> bool:
    """Whether it is a depthwise convolution, whose kernel has the channels on another axis."""
    return isinstance(part.layer, keras.layers.DepthwiseConv2D)


def width(part: Part) -> Shape:
    """One number for each output channel."""
    if is_depthwise(part):
        _, _, inputs, times = part.shapes["kernel"]
        return (inputs * times,)
    return (part.layer.weights[0].shape[-1],)
