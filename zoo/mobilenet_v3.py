"""MobileNetV3 small and large, and the minimalistic variant for accelerators that only support 3x3 kernels and ReLU.

Howard et al.: Searching for MobileNetV3 (arXiv:1905.02244).
"""

from typing import Any, NamedTuple

import keras
from keras import layers

from ..layers import ConvNormAct, InvertedResidual
from ..layers.norm_and_activation import Norm
from .mobilenet_v2 import make_divisible

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}
STEM_WIDTH = 16


class Row(NamedTuple):
    """One block, a row of table 1 or 2 of the paper."""

    kernel_size: int
    expanded: int
    filters: int
    squeeze_excite: bool
    activation: str
    strides: int


RE, HS = "relu", "hard_swish"
# One tuple of rows per stage; a stage begins where the resolution or the number of channels changes.
SIZES: dict[str, tuple[tuple[Row, ...], ...]] = {
    "large": (  # table 1
        (Row(3, 16, 16, False, RE, 1),),
        (Row(3, 64, 24, False, RE, 2), Row(3, 72, 24, False, RE, 1)),
        (Row(5, 72, 40, True, RE, 2), Row(5, 120, 40, True, RE, 1), Row(5, 120, 40, True, RE, 1)),
        (
            Row(3, 240, 80, False, HS, 2),
            Row(3, 200, 80, False, HS, 1),
            Row(3, 184, 80, False, HS, 1),
            Row(3, 184, 80, False, HS, 1),
        ),
        (Row(3, 480, 112, True, HS, 1), Row(3, 672, 112, True, HS, 1)),
        (Row(5, 672, 160, True, HS, 2), Row(5, 960, 160, True, HS, 1), Row(5, 960, 160, True, HS, 1)),
    ),
    "small": (  # table 2
        (Row(3, 16, 16, True, RE, 2),),
        (Row(3, 72, 24, False, RE, 2), Row(3, 88, 24, False, RE, 1)),
        (Row(5, 96, 40, True, HS, 2), Row(5, 240, 40, True, HS, 1), Row(5, 240, 40, True, HS, 1)),
        (Row(5, 120, 48, True, HS, 1), Row(5, 144, 48, True, HS, 1)),
        (Row(5, 288, 96, True, HS, 2), Row(5, 576, 96, True, HS, 1), Row(5, 576, 96, True, HS, 1)),
    ),
}
NECK_WIDTHS = {"large": 1280, "small": 1024}


def mobilenet_v3(
    pixels: keras.KerasTensor,
    *,
    size: str,
    width: float = 1.0,
    minimalistic: bool = False,
    padding: str = "same",
    norm: Norm = NORM,
) -> keras.KerasTensor:
    """Apply MobileNetV3 and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        size: `"small"` or `"large"`.
        width: Channel multiplier, not for the stem.
        minimalistic: Whether to omit squeeze-excite, hard-swish and 5x5 kernels.
        padding: Padding of every 3x3 and 5x5 convolution: `"same"`, as in TensorFlow, or `"symmetric"`, as in PyTorch.
        norm: As in `ConvNormAct`; in PyTorch, epsilon is 1e-5.
    """
    activation = _activation(minimalistic)
    stem: dict[str, Any] = {"strides": 2, "padding": padding, "norm": norm, "activation": activation}
    x = ConvNormAct(STEM_WIDTH, 3, **stem, name="stem")(pixels)
    unscaled = STEM_WIDTH
    for stage, rows in enumerate(_rows(size), start=1):
        for block, row in enumerate(rows, start=1):
            # The tables give the expanded width at multiplier 1; other multipliers keep its ratio to the input.
            expanded = make_divisible(x.shape[-1] * (row.expanded / unscaled))
            filters = make_divisible(row.filters * width)
            squeeze = row.squeeze_excite and not minimalistic
            x = InvertedResidual(
                filters,
                expanded_filters=None if stage == block == 1 else expanded,
                kernel_size=3 if minimalistic else row.kernel_size,
                strides=row.strides,
                padding=padding,
                squeeze_filters=make_divisible(expanded / 4) if squeeze else None,
                gate="hard_sigmoid",
                shortcut=row.strides == 1 and x.shape[-1] == filters,
                norm=norm,
                activation="relu" if minimalistic else row.activation,
                name=f"stage{stage}_block{block}",
            )(x)
            unscaled = row.filters
    return ConvNormAct(make_divisible(6 * x.shape[-1]), 1, norm=norm, activation=activation, name="final")(x)


def pooled_conv(
    x: keras.KerasTensor, *, size: str, width: float = 1.0, minimalistic: bool = False
) -> keras.KerasTensor:
    """Apply global pooling, then the last 1x1 convolution (figure 5 of the paper), and return a vector per image.

    The arguments are as in `mobilenet_v3`; with a `width` below 1 the convolution keeps its 1024 or 1280 channels.
    """
    _rows(size)
    filters = make_divisible(NECK_WIDTHS[size] * max(1.0, width))
    x = layers.GlobalAveragePooling2D(keepdims=True, name="neck_pool")(x)
    x = ConvNormAct(filters, 1, norm=None, activation=_activation(minimalistic), name="neck_conv")(x)
    return layers.Flatten(name="neck_flatten")(x)


def _activation(minimalistic: bool) -> str:
    return "relu" if minimalistic else "hard_swish"


def _rows(size: str) -> tuple[tuple[Row, ...], ...]:
    if size not in SIZES:
        raise ValueError(f"size is {size!r}; allowed are 'large' and 'small'.")
    return SIZES[size]
