"""EDSR: residual blocks without normalization, for pictures of the size of the image or larger ones.

Lim, Son, Kim, Nah, Lee: Enhanced Deep Residual Networks for Single Image Super-Resolution (arXiv:1707.02921).
"""

from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct

SMALL: dict[str, Any] = {"class_name": "VarianceScaling", "config": {"scale": 0.01, "mode": "fan_avg"}}
"""Initial kernels of a tenth of the usual size."""


def edsr(pixels: keras.KerasTensor, *, blocks: int = 8, width: int = 32) -> keras.KerasTensor:
    """Apply EDSR up to its upsampling, which is the head, and return the feature map joined with the image.

    The image is not in the paper's features: with it, the head begins as linear interpolation of the image, and the
    residual blocks learn what that lacks (as in VDSR, arXiv:1511.04587), which few images then suffice for. Residuals
    begin at a tenth of their usual size, which the paper has as a factor: so features keep about the range of the
    image, with which they share their integers in quantized files.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Residual blocks; the paper has 16, or 32.
        width: Channels of all convolutions; the paper has 64, or 256.
    """
    x = start = layers.Conv2D(width, 3, padding="same", name="stem")(pixels)
    for block in range(1, blocks + 1):
        name = f"block{block}"
        residual = ConvNormAct(width, 3, norm=None, name=f"{name}_conv1")(x)
        x = layers.Add(name=name)([x, _residual_conv(width, f"{name}_conv2")(residual)])
    body = layers.Add(name="body")([start, _residual_conv(width, "body_conv")(x)])
    return layers.Concatenate(name="body_and_image")([body, pixels])


def _residual_conv(width: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(width, 3, padding="same", kernel_initializer=SMALL, name=name)
