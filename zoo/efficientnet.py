"""EfficientNet B0 to B7 and Lite: compound scaling of width, depth and input size.

Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (arXiv:1905.11946). Lite follows the
authors' code (tensorflow/tpu, efficientnet/lite).
"""

from math import ceil
from typing import Any, NamedTuple

import keras

from ..layers import ConvNormAct, InvertedResidual
from ..layers.norm_and_activation import Norm
from .mobilenet_v2 import make_divisible

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}


class Stage(NamedTuple):
    """One row of table 1 of the paper."""

    expansion: int
    kernel_size: int
    filters: int
    blocks: int
    strides: int


STAGES = (
    Stage(1, 3, 16, 1, 1),
    Stage(6, 3, 24, 2, 2),
    Stage(6, 5, 40, 2, 2),
    Stage(6, 3, 80, 3, 2),
    Stage(6, 5, 112, 3, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)


def efficientnet(
    pixels: keras.KerasTensor,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    squeeze_ratio: float = 0.25,
    activation: str = "swish",
    scale_ends: bool = True,
    stochastic_depth: float = 0.2,
    padding: str = "same",
    norm: Norm = NORM,
) -> keras.KerasTensor:
    """Apply EfficientNet and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        width: Channel multiplier.
        depth: Multiplier of the number of blocks.
        squeeze_ratio: Hidden channels of a squeeze-excite as a fraction of the block's input channels; 0 for no
            squeeze-excite.
        activation: `"swish"`; `"relu6"` in Lite.
        scale_ends: Whether `width` also scales the stem and the last convolution, and `depth` the first and the last
            stage; not in Lite.
        stochastic_depth: Probability that a training step drops the last block; it increases linearly from 0.
        padding: Padding of every 3x3 and 5x5 convolution: `"same"`, as in TensorFlow, or `"symmetric"`, as in PyTorch.
        norm: As in `ConvNormAct`; in PyTorch, epsilon is 1e-5.
    """
    unit: dict[str, Any] = {"norm": norm, "activation": activation}
    end_width = width if scale_ends else 1.0
    blocks = [
        stage.blocks if not scale_ends and stage in (STAGES[0], STAGES[-1]) else ceil(depth * stage.blocks)
        for stage in STAGES
    ]
    x = ConvNormAct(make_divisible(32 * end_width), 3, strides=2, padding=padding, name="stem", **unit)(pixels)
    done = 0
    for number, (stage, count) in enumerate(zip(STAGES, blocks, strict=True), start=1):
        filters = make_divisible(stage.filters * width)
        for block in range(1, count + 1):
            strides = stage.strides if block == 1 else 1
            shortcut = strides == 1 and x.shape[-1] == filters
            x = InvertedResidual(
                filters,
                expanded_filters=None if stage.expansion == 1 else stage.expansion * x.shape[-1],
                kernel_size=stage.kernel_size,
                strides=strides,
                padding=padding,
                squeeze_filters=max(1, int(x.shape[-1] * squeeze_ratio)) if squeeze_ratio else None,
                squeeze_activation=activation,
                shortcut=shortcut,
                stochastic_depth=stochastic_depth * done / sum(blocks) if shortcut else 0.0,
                name=f"stage{number}_block{block}",
                **unit,
            )(x)
            done += 1
    return ConvNormAct(make_divisible(1280 * end_width), 1, name="final", **unit)(x)
