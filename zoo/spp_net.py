"""SPP-net: a pyramid of max poolings between the convolutions and the dense layers.

He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition (arXiv:1406.4729).
The pyramid's length does not depend on the size of the image, so weights trained at one size serve at every other.
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..layers import ConvNormAct, LocalResponseNormalization, SpatialPyramidPooling2D
from .vgg import dense_layers


def zf5(
    pixels: keras.KerasTensor, *, widths: Sequence[int] = (96, 256, 384, 384, 256), lrn: bool = False
) -> keras.KerasTensor:
    """ZF-5, table 1 of the paper: normalised pixels `(batch, height, width, channels)` to the fifth convolution's map.

    Args:
        pixels: What the image holds, normalised.
        widths: Channels of the five convolutions.
        lrn: Whether the first two are followed by local response normalisation, as in the paper.
    """
    unit = {"norm": None}
    # Borders that give the table's maps for an image of 224: 110, 55, 27 and 13 places a side.
    x = ConvNormAct(widths[0], 7, strides=2, padding=1, name="stage1_conv", **unit)(pixels)
    x = _pool(x, "stage1", lrn, padding="same")
    x = ConvNormAct(widths[1], 5, strides=2, padding=1, name="stage2_conv", **unit)(x)
    x = _pool(x, "stage2", lrn, padding="valid")
    for stage in (3, 4, 5):
        x = ConvNormAct(widths[stage - 1], 3, name=f"stage{stage}_conv", **unit)(x)
    return x


def on_backbone(maps: dict[int, keras.KerasTensor], *, stride: int | None = None) -> keras.KerasTensor:
    """The map of a backbone on which the pyramid stands.

    Args:
        maps: The backbone's maps by stride.
        stride: Which of them; by default the deepest.

    Raises:
        ValueError: There is no map of that stride.
    """
    if stride is not None and stride not in maps:
        raise ValueError(f"stride is {stride}; the backbone has maps of the strides {sorted(maps)}.")
    return maps[max(maps) if stride is None else stride]


def pyramid(
    x: keras.KerasTensor,
    *,
    bins: Sequence[int] = (6, 3, 2, 1),
    reduced: int | None = None,
    hidden: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """A map of a fixed size to the features of the last dense layer, or of the pyramid where there is none.

    Args:
        x: The map.
        bins: Bins of each level of the pyramid along either side.
        reduced: Channels to which a 1x1 convolution brings the map first, or None.
        hidden: Widths of the dense layers.
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
