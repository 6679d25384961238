"""MobileNet: depthwise separable convolutions throughout.

Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (arXiv:1704.04861).
"""

from typing import Any

import keras

from ..layers import ConvNormAct, SeparableConvNormAct
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}

STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
"""Output channels of the separable convolutions, table 1 of the paper; all stages but the first begin with stride 2."""


def mobilenet_v1(
    pixels: keras.KerasTensor, *, width: float = 1.0, padding: str = "same", norm: Norm = NORM
) -> keras.KerasTensor:
    """Apply MobileNet and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        width: Times as many channels , the paper's alpha: 1, 0.75, 0.5 or 0.25.
        padding: Padding of every 3x3 convolution: `"same"`, as in TensorFlow, or `"symmetric"`, as in PyTorch.
        norm: As in `ConvNormAct`; in PyTorch, epsilon is 1e-5.
    """
    unit: dict[str, Any] = {"norm": norm, "activation": "relu6"}
    x = ConvNormAct(int(32 * width), 3, strides=2, padding=padding, name="stem", **unit)(pixels)
    for stage, blocks in enumerate(STAGES, start=1):
        for block, filters in enumerate(blocks, start=1):
            x = SeparableConvNormAct(
                int(filters * width),
                3,
                strides=2 if block == 1 and stage > 1 else 1,
                padding=padding,
                between=True,
                name=f"stage{stage}_block{block}",
                **unit,
            )(x)
    return x
