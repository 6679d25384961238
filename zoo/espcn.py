"""ESPCN: super-resolution whose layers all have the size of the small image.

Shi et al.: Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network
(arXiv:1609.05158).
"""

from collections.abc import Sequence

import keras

from ..layers import ConvNormAct


def espcn(
    pixels: keras.KerasTensor, *, widths: Sequence[int] = (64, 32), activation: str = "tanh"
) -> keras.KerasTensor:
    """Apply ESPCN up to its sub-pixel convolution, which is the head, and return the feature map.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        widths: Channels of the 5x5 convolution and of the 3x3 convolutions after it.
        activation: `"tanh"` as in the paper.
    """
    x = pixels
    for layer, width in enumerate(widths, start=1):
        size = 5 if layer == 1 else 3
        x = ConvNormAct(width, size, norm=None, activation=activation, name=f"stage{layer}")(x)
    return x
