"""DenseNet.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks (arXiv:1608.06993), table 1.
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..layers import ConvNormAct, DenseBlock, NormAct, Transition

NORM = {"name": "batch", "epsilon": 1e-5}


def densenet(
    pixels: keras.KerasTensor,
    *,
    blocks: Sequence[int],
    growth: int = 32,
    bottleneck: int = 4,
    reduction: float = 0.5,
) -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the map before the pooling (DenseNet-BC).

    Args:
        pixels: What the image holds, normalised.
        blocks: Layers of each dense block.
        growth: Channels that a layer adds (k in the paper); the stem has twice as many.
        bottleneck: Times `growth` between a layer's two convolutions.
        reduction: Share of the channels that a transition keeps (theta in the paper).
    """
    x = ConvNormAct(2 * growth, 7, strides=2, padding=3, norm=NORM, name="stem")(pixels)
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, count in enumerate(blocks, start=1):
        if stage > 1:
            x = Transition(int(x.shape[-1] * reduction), norm=NORM, name=f"stage{stage}_transition")(x)
        x = DenseBlock([growth] * count, [bottleneck * growth] * count, norm=NORM, name=f"stage{stage}_block")(x)
    return NormAct(norm=NORM, name="final")(x)
