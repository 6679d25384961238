"""Xception.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (arXiv:1610.02357), figure 5.
"""

from typing import Any

import keras

from ..layers import ConvNormAct, SeparableConvNormAct, XceptionBlock
from ..layers.inception_module import scale_filters

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}


def xception(pixels: keras.KerasTensor, *, middle_blocks: int = 8, width: float = 1.0) -> keras.KerasTensor:
    """Apply Xception and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        middle_blocks: Number of blocks in the middle flow.
        width: Channel multiplier.
    """
    w32, w64, w128, w256, w728, w1024, w1536, w2048 = (
        scale_filters(filters, width) for filters in (32, 64, 128, 256, 728, 1024, 1536, 2048)
    )
    step: dict[str, Any] = {"strides": 2, "shortcut": "projection", "norm": NORM}

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
