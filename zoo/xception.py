"""Xception.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (arXiv:1610.02357), figure 5.
"""

import keras

from ..layers import ConvNormAct, SeparableConvNormAct, XceptionBlock
from ..layers.inception_module import times

NORM = {"name": "batch", "epsilon": 1e-3}


def xception(pixels: keras.KerasTensor, *, middle_blocks: int = 8, width: float = 1.0) -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Args:
        pixels: What the image holds, normalised.
        middle_blocks: Blocks of the middle flow.
        width: Times as many channels everywhere.
    """
    w32, w64, w128, w256, w728, w1024, w1536, w2048 = (
        times(width, filters) for filters in (32, 64, 128, 256, 728, 1024, 1536, 2048)
    )
    step = {"strides": 2, "shortcut": "projection", "norm": NORM}

    # Entry flow
    x = ConvNormAct(w32, 3, strides=2, padding="valid", norm=NORM, name="stem_conv1")(pixels)
    x = ConvNormAct(w64, 3, padding="valid", norm=NORM, name="stem_conv2")(x)
    x = XceptionBlock([w128, w128], **step, first_activation=False, name="stage1_entry")(x)
    x = XceptionBlock([w256, w256], **step, name="stage2_entry")(x)
    x = XceptionBlock([w728, w728], **step, name="stage3_entry")(x)
    # Middle flow
    for block in range(1, middle_blocks + 1):
        x = XceptionBlock([w728, w728, w728], norm=NORM, name=f"stage3_middle{block}")(x)
    # Exit flow
    x = XceptionBlock([w728, w1024], **step, name="stage4_exit")(x)
    x = SeparableConvNormAct(w1536, 3, norm=NORM, name="stage4_sepconv1")(x)
    return SeparableConvNormAct(w2048, 3, norm=NORM, name="stage4_sepconv2")(x)
