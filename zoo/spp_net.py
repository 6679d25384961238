"""SPP-net: spatial pyramid pooling between the convolutions and the dense layers.

He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition (arXiv:1406.4729).
The output length does not depend on the image size, so weights trained at one size can be used at any other.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct, LocalResponseNormalization, SpatialPyramidPooling2D
from .vgg import dense_layers


def zf5(
    pixels: keras.KerasTensor, *, widths: Sequence[int] = (96, 256, 384, 384, 256), lrn: bool = False
) -> keras.KerasTensor:
    """Apply ZF-5 (table 1 of the paper) and return the feature map of the fifth convolution.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        widths: Output channels of the five convolutions.
        lrn: Whether local response normalization follows the first two convolutions, as in the paper.
    """
    unit: dict[str, Any] = {"norm": None}
    # Padding that gives the feature map sizes of the table for a 224x224 image: 110, 55, 27 and 13.
    x = ConvNormAct(widths[0], 7, strides=2, padding=1, name="stage1_conv", **unit)(pixels)
    x = _pool(x, "stage1", lrn, padding="same")
    x = ConvNormAct(widths[1], 5, strides=2, padding=1, name="stage2_conv", **unit)(x)
    x = _pool(x, "stage2", lrn, padding="valid")
    for stage in (3, 4, 5):
        x = ConvNormAct(widths[stage - 1], 3, name=f"stage{stage}_conv", **unit)(x)
    return x


def on_backbone(maps: dict[int, keras.KerasTensor], *, stride: int | None = None) -> keras.KerasTensor:
    """Return the backbone feature map to which the pyramid is applied.

    Args:
        maps: The backbone's feature maps by stride.
        stride: Stride of the feature map; None for the deepest.

    Raises:
        ValueError: There is no feature map of that stride.
    """
    if stride is not None and stride not in maps:
        raise ValueError(f"stride is {stride}; the backbone has feature maps of strides {sorted(maps)}.")
    return maps[max(maps) if stride is None else stride]


def pyramid(
    x: keras.KerasTensor,
    *,
    bins: Sequence[int] = (6, 3, 2, 1),
    reduced: int | None = None,
    hidden: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """Apply the pyramid and the dense layers, and return one feature vector per image.

    Args:
        x: Feature map `(batch, height, width, channels)` of fixed size.
        bins: Number of bins of each pyramid level along height and width.
        reduced: Output channels of a 1x1 convolution before the pyramid, or None for no convolution.
        hidden: Widths of the dense layers; empty for none.
        dropout: As in `vgg.dense_layers`.
    """
    if reduced is not None:
        x = ConvNormAct(reduced, 1, name="pyramid_reduce")(x)
    x = SpatialPyramidPooling2D(bins, name="pyramid")(x)
    return dense_layers(x, hidden=hidden, dropout=dropout) if hidden else x


def _pool(x: keras.KerasTensor, stage: str, lrn: bool, padding: str) -> keras.KerasTensor:
    if lrn:
        x = LocalResponseNormalization(name=f"{stage}_lrn")(x)
    return layers.MaxPooling2D(3, strides=2, padding=padding, name=f"{stage}_pool")(x)
