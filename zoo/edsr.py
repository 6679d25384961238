"""EDSR: residual blocks without normalization, for pictures of the size of the image or larger ones.

Lim, Son, Kim, Nah, Lee: Enhanced Deep Residual Networks for Single Image Super-Resolution (arXiv:1707.02921).
"""

import keras
from keras import layers

from ..layers import ConvNormAct


def edsr(pixels: keras.KerasTensor, *, blocks: int = 8, width: int = 32) -> keras.KerasTensor:
    """Apply EDSR up to its upsampling, which is the head, and return the feature map joined with the image.

    The image is not in the paper's features: with it, the head begins as linear interpolation of the image, and the
    residual blocks learn what that lacks (as in VDSR, arXiv:1511.04587), which few images then suffice for.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Residual blocks; the paper has 16, or 32.
        width: Channels of all convolutions; the paper has 64, or 256.
    """
    x = start = _conv(width, "stem")(pixels)
    for block in range(1, blocks + 1):
        name = f"block{block}"
        residual = ConvNormAct(width, 3, norm=None, name=f"{name}_conv1")(x)
        x = layers.Add(name=name)([x, _conv(width, f"{name}_conv2")(residual)])
    body = layers.Add(name="body")([start, _conv(width, "body_conv")(x)])
    return layers.Concatenate(name="body_and_image")([body, pixels])


def _conv(width: int, name: str) -> ConvNormAct:
    """Return a 3x3 convolution without normalization and activation."""
    return ConvNormAct(width, 3, norm=None, activation=None, name=name)
