"""AlexNet with two groups, as in the paper.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks (2012), section 3.5. VGG
has the same dense layers: `vgg.dense_layers`.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct, LocalResponseNormalization


def alexnet(
    pixels: keras.KerasTensor,
    *,
    widths: Sequence[int] = (96, 256, 384, 384, 256),
    groups: int = 2,
    lrn: bool = False,
) -> keras.KerasTensor:
    """Apply AlexNet's convolutions and return the last pooled feature map.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        widths: Output channels of the five convolutions.
        groups: Groups of the second, fourth and fifth convolution, one for each of the paper's two GPUs.
        lrn: Whether local response normalization follows the first two convolutions. It lowered the paper's top-1
            error by 1.4 points, does not help later architectures, and is slow on edge runtimes.
    """
    split: dict[str, Any] = {"norm": None, "groups": groups}
    x = ConvNormAct(widths[0], 11, strides=4, padding="valid", norm=None, name="stage1_conv")(pixels)
    x = _pool(x, "stage1", lrn)
    x = ConvNormAct(widths[1], 5, name="stage2_conv", **split)(x)
    x = _pool(x, "stage2", lrn)
    x = ConvNormAct(widths[2], 3, norm=None, name="stage3_conv")(x)  # not grouped: connects the two GPUs
    x = ConvNormAct(widths[3], 3, name="stage4_conv", **split)(x)
    x = ConvNormAct(widths[4], 3, name="stage5_conv", **split)(x)
    return _pool(x, "stage5", lrn=False)


def _pool(x: keras.KerasTensor, stage: str, lrn: bool) -> keras.KerasTensor:
    """Overlapping max pooling, section 3.4."""
    if lrn:
        x = LocalResponseNormalization(name=f"{stage}_lrn")(x)
    return layers.MaxPooling2D(3, strides=2, name=f"{stage}_pool")(x)
