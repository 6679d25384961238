"""Code that all layouts share: pairs of published tensors and weights of the zoo's models."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from .weighted_layers import Shape, WeightedLayer


@dataclass(frozen=True)
class Pair:
    """A published tensor and the weight of the model that it corresponds to."""

    ours: str
    """Name of the weight, `layer/variable`."""
    tensor: np.ndarray
    """Values, with axes in Keras' order."""
    absorbed: bool = False
    """Whether it is a bias that the model's convolution lacks, to be subtracted from `ours`, the moving mean of the
    BatchNorm after it."""


def abbreviate(names: Sequence[str], most: int = 8) -> str:
    """Return the number of `names` and the first `most` of them, for messages."""
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{rest}"


def following_batch_norms(parts: dict[str, WeightedLayer]) -> dict[str | None, str]:
    """Return the name of the BatchNorm that directly follows a layer, by the layer's name."""
    return {part.follows: part.name for part in parts.values() if part.is_norm}


def is_depthwise(part: WeightedLayer) -> bool:
    """Return whether the layer is a depthwise convolution, whose kernel has the channels on another axis."""
    return isinstance(part.layer, keras.layers.DepthwiseConv2D)


def bias_shape(part: WeightedLayer) -> Shape:
    """Return the shape of a bias of the layer: one value per output channel."""
    if is_depthwise(part):
        _, _, inputs, multiplier = part.shapes["kernel"]
        return (inputs * multiplier,)
    return (part.layer.weights[0].shape[-1],)
