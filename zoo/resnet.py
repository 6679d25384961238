"""ResNet and its variants: v1, v1.5, pre-activation, ResNeXt, Wide ResNet, SE-ResNet and CBAM-ResNet.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (arXiv:1512.03385), table 1; Identity Mappings in Deep
Residual Networks (arXiv:1603.05027).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers import Bottleneck, ConvNormAct, NormAct, ResidualBlock
from ..layers.dimensions import for_map

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}
REDUCTION = 16
"""Reduction ratio of squeeze-excite and CBAM, in both papers."""


def resnet(
    pixels: keras.KerasTensor,
    *,
    blocks: Sequence[int],
    bottleneck: bool = True,
    widths: Sequence[int] = (64, 128, 256, 512),
    stem_width: int = 64,
    stride_at: int = 2,
    groups: int = 1,
    group_width: float = 1.0,
    attention: str | None = None,
    stochastic_depth: float = 0.0,
    output_stride: int = 32,
    multi_grid: Sequence[int] = (1,),
) -> keras.KerasTensor:
    """Apply ResNet and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Number of blocks in each stage.
        bottleneck: Whether blocks are bottlenecks, with 4 times `widths` output channels, or basic blocks.
        widths: Channels of the 3x3 convolutions of each stage, before `group_width`.
        stem_width: Channels of the stem.
        stride_at: The convolution of a bottleneck with the stride: 1 as in the paper, 2 in "v1.5".
        groups: Groups of a bottleneck's 3x3 convolution (ResNeXt).
        group_width: Channel multiplier of a bottleneck's 3x3 convolution (ResNeXt, Wide ResNet).
        attention: `"se"`, `"cbam"` or None.
        stochastic_depth: Probability that a training step drops the last block; it increases linearly from 0.
        output_stride: 32, 16 or 8; below 32 the later stages use dilation instead of strides (DeepLab). As in
            torchvision, the convolution that had the stride keeps the dilation rate of the stage before, and so every
            output equals that of the undilated network at its position.
        multi_grid: Dilation multipliers of the blocks of the last stage, repeated as needed. With multipliers other
            than 1 the rate of each block of it is that of the stage times its multiplier, as in section 4.1 of DeepLab
            v3 (arXiv:1706.05587).
    """
    x = ConvNormAct(stem_width, 7, strides=2, padding=3, norm=NORM, name="stem")(pixels)
    x = _max_pool(x)
    drop = _drop_rates(blocks, stochastic_depth)
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        strides, dilation, before = _stride_and_dilation(stage, output_stride)
        grid = multi_grid if stage == len(blocks) else (1,)
        filters = width * 4 if bottleneck else width
        for block in range(1, count + 1):
            rate = dilation * grid[(block - 1) % len(grid)]
            strided_rate = before if block == 1 and set(grid) == {1} else rate
            arguments: dict[str, Any] = {
                "strides": strides if block == 1 else 1,
                "dilation_rate": rate,
                "padding": rate,
                "shortcut": "projection" if block == 1 and (strides > 1 or x.shape[-1] != filters) else "identity",
                "attention": attention,
                "squeeze_filters": max(1, filters // REDUCTION) if attention else None,
                "stochastic_depth": drop[stage - 1][block - 1],
                "norm": NORM,
                "name": f"stage{stage}_block{block}",
            }
            if bottleneck:
                mid = int(width * group_width)
                if stride_at == 2:
                    arguments |= {"dilation_rate": strided_rate, "padding": strided_rate}
                x = Bottleneck(filters, mid, stride_at=stride_at, groups=groups, **arguments)(x)
            else:
                if strided_rate != rate:
                    arguments |= {"first_dilation_rate": strided_rate, "padding": "symmetric"}
                x = ResidualBlock(filters, width, **arguments)(x)
    return x


def resnet_v2(
    pixels: keras.KerasTensor,
    *,
    blocks: Sequence[int],
    widths: Sequence[int] = (64, 128, 256, 512),
    stem_width: int = 64,
) -> keras.KerasTensor:
    """Apply the pre-activation ResNet and return the feature map before global pooling.

    As in TF-slim and Keras, whose weights are compatible, the stride is in the last block of a stage; in the authors'
    code it is in the first.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Number of blocks in each stage.
        widths: Channels of the 3x3 convolutions of each stage; the stage has 4 times as many output channels.
        stem_width: Channels of the stem.
    """
    x = ConvNormAct(stem_width, 7, strides=2, padding=3, norm=None, activation=None, name="stem")(pixels)
    x = _max_pool(x)
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        for block in range(1, count + 1):
            strides = 2 if block == count and stage < len(blocks) else 1
            first = "projection" if block == 1 else "identity"
            x = Bottleneck(
                4 * width,
                width,
                strides=strides,
                padding=1,
                shortcut="subsample" if strides > 1 else first,
                pre_activation=True,
                norm=NORM,
                name=f"stage{stage}_block{block}",
            )(x)
    return NormAct(norm=NORM, name="final")(x)


def _max_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    # Zero padding on every side, as in the authors' Caffe model; "same" would pad only at the bottom and right.
    x = for_map(layers.ZeroPadding2D, x)(1, name="stem_pool_pad")(x)
    return for_map(layers.MaxPooling2D, x)(3, strides=2, name="stem_pool")(x)


def _stride_and_dilation(stage: int, output_stride: int) -> tuple[int, int, int]:
    """Return the stride and the dilation rate of a stage, and the dilation rate of the stage before."""
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is {output_stride!r}; allowed are 8, 16 and 32.")
    undilated_stride = 4 * 2 ** (stage - 1)
    if stage == 1:
        return 1, 1, 1
    if undilated_stride <= output_stride:
        return 2, 1, 1
    dilation = undilated_stride // output_stride
    return 1, dilation, dilation // 2


def _drop_rates(blocks: Sequence[int], last: float) -> list[list[float]]:
    """Return the drop rate of every block: linear as in Huang et al. (arXiv:1603.09382), but 0 at the first block."""
    total = max(1, sum(blocks) - 1)
    counter = iter(range(sum(blocks)))
    return [[last * next(counter) / total for _ in range(count)] for count in blocks]
