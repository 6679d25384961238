"""SqueezeNet: few parameters, because few channels enter the 3x3 convolutions.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet (arXiv:1602.07360), table 1; version 1.1 is the authors'
(github.com/forresti/SqueezeNet).
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..layers import ConvNormAct, FireModule


def squeezenet(
    pixels: keras.KerasTensor,
    *,
    stem_width: int,
    stem_kernel: int,
    stages: Sequence[Sequence[int]],
) -> keras.KerasTensor:
    """Apply SqueezeNet and return the feature map that the head classifies.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        stem_width: Channels of the stem.
        stem_kernel: Kernel size of the stem.
        stages: For each stage the squeeze widths of its fire modules; each expand convolution has 4 times as many
            channels. Max pooling precedes each stage.
    """
    x = ConvNormAct(stem_width, stem_kernel, strides=2, padding="valid", norm=None, activation="relu", name="stem")(
        pixels
    )
    for stage, squeezes in enumerate(stages, start=1):
        x = _max_pool(x, f"stage{stage}_pool")
        for block, squeeze in enumerate(squeezes, start=1):
            x = FireModule(squeeze, 4 * squeeze, 4 * squeeze, name=f"stage{stage}_block{block}")(x)
    return x


def _max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # As in Caffe, and in torchvision with ceil_mode, the last window extends past the edge if a side is even. Zero
    # padding gives the same maximum, because outputs of ReLU are not negative. Odd sides need none.
    if any(side is None or side % 2 == 0 for side in x.shape[1:3]):
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)
