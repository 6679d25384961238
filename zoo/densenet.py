"""DenseNet.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks (arXiv:1608.06993), table 1.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct, DenseBlock, NormAct, Transition
from ..layers.dimensions import for_map

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}


def densenet(
    pixels: keras.KerasTensor,
    *,
    blocks: Sequence[int],
    growth: int = 32,
    bottleneck: int = 4,
    reduction: float = 0.5,
) -> keras.KerasTensor:
    """Apply DenseNet-BC and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Number of layers in each dense block.
        growth: Growth rate, the channels that each layer adds (k in the paper); the stem has twice as many.
        bottleneck: Channels between the two convolutions of a layer, as a multiple of `growth`.
        reduction: Fraction of the channels that a transition keeps (theta in the paper).
    """
    x = ConvNormAct(2 * growth, 7, strides=2, padding=3, norm=NORM, name="stem")(pixels)
    x = for_map(layers.ZeroPadding2D, x)(1, name="stem_pool_pad")(x)
    x = for_map(layers.MaxPooling2D, x)(3, strides=2, name="stem_pool")(x)
    for stage, count in enumerate(blocks, start=1):
        if stage > 1:
            x = Transition(int(x.shape[-1] * reduction), norm=NORM, name=f"stage{stage}_transition")(x)
        x = DenseBlock([growth] * count, [bottleneck * growth] * count, norm=NORM, name=f"stage{stage}_block")(x)
    return NormAct(norm=NORM, name="final")(x)
