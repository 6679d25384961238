"""MobileNetV2: inverted residuals.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks (arXiv:1801.04381).
"""

from math import inf
from typing import Any

import keras

from ..layers import ConvNormAct, InvertedResidual
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 of the paper: expansion factor t, output channels c, number of blocks n, stride s of the first block."""


def mobilenet_v2(
    pixels: keras.KerasTensor, *, width: float = 1.0, padding: str = "same", norm: Norm = NORM
) -> keras.KerasTensor:
    """Apply MobileNetV2 and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        width: Channel multiplier; below 1 the last convolution keeps its 1280 channels.
        padding: Padding of every 3x3 convolution: `"same"`, as in TensorFlow, or `"symmetric"`, as in PyTorch.
        norm: As in `ConvNormAct`; in PyTorch, epsilon is 1e-5.
    """
    unit: dict[str, Any] = {"norm": norm, "activation": "relu6"}
    x = ConvNormAct(make_divisible(32 * width), 3, strides=2, padding=padding, name="stem", **unit)(pixels)
    for stage, (expansion, channels, blocks, first_strides) in enumerate(STAGES, start=1):
        filters = make_divisible(int(channels * width))
        for block in range(1, blocks + 1):
            strides = first_strides if block == 1 else 1
            x = InvertedResidual(
                filters,
                expanded_filters=None if expansion == 1 else expansion * x.shape[-1],
                strides=strides,
                padding=padding,
                shortcut=strides == 1 and x.shape[-1] == filters,
                name=f"stage{stage}_block{block}",
                **unit,
            )(x)
    return ConvNormAct(make_divisible(1280 * max(1.0, width)), 1, name="final", **unit)(x)


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round `channels` to a multiple of `divisor`, upward where rounding down would remove more than 10 %.

    The rule of the authors' code, also for the later mobile architectures.

    Raises:
        ValueError: `channels` is not a finite number above 0.
    """
    if not 0 < channels < inf:
        raise ValueError(f"{channels} channels is not a width; the multiplier must be above 0.")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
