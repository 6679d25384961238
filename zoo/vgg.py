"""VGG: stacks of 3x3 convolutions.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition (arXiv:1409.1556), table 1.
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..layers import ConvNormAct
from ..layers.dimensions import for_map
from ..layers.norm_and_activation import Norm


def vgg(
    pixels: keras.KerasTensor,
    *,
    convs: Sequence[int],
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    batch_norm: bool = False,
) -> keras.KerasTensor:
    """Apply VGG's convolutions and return the last pooled feature map.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        convs: Number of convolutions in each stage; max pooling ends every stage.
        widths: Channels of each stage.
        batch_norm: Whether BatchNorm follows each convolution and replaces its bias.
    """
    norm: Norm = {"name": "batch", "epsilon": 1e-5} if batch_norm else None
    x = pixels
    for stage, (count, width) in enumerate(zip(convs, widths, strict=True), start=1):
        for conv in range(1, count + 1):
            x = ConvNormAct(width, 3, norm=norm, name=f"stage{stage}_conv{conv}")(x)
        x = for_map(layers.MaxPooling2D, x)(2, name=f"stage{stage}_pool")(x)
    return x


def dense_layers(
    x: keras.KerasTensor, *, hidden: Sequence[int] = (4096, 4096), dropout: float = 0.5
) -> keras.KerasTensor:
    """Apply the hidden dense layers and return the features of fc7, `(batch, hidden[-1])`.

    Args:
        x: Feature map `(batch, height, width, channels)` of fixed size.
        hidden: Widths of the dense layers.
        dropout: Dropout rate before every layer but the first; the head has its own dropout.
    """
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate(hidden, start=1):
        if number > 1:
            x = layers.Dropout(dropout, name=f"dense{number}_drop")(x)
        x = layers.Dense(width, activation="relu", kernel_initializer="he_uniform", name=f"dense{number}")(x)
    return x
