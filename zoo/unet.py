"""U-Net as in the paper, and its decoder on any backbone.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation (arXiv:1505.04597).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct, UpBlock
from ..layers.dimensions import for_map
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}


def unet(
    pixels: keras.KerasTensor,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    padding: str = "valid",
    up: str = "transpose",
    norm: Norm = None,
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """Apply U-Net and return the decoder's last feature map, of stride 1.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        widths: Channels of each encoder stage, from the image down; a decoder block has those of its skip connection.
        padding: `"valid"` as in the paper, where 572x572 pixels become 388x388; or `"same"`, which preserves any size.
        up: Upsampling in the decoder: `"transpose"` as in the paper, or `"resize"`, which all edge runtimes support.
        norm: None as in the paper, or as in `ConvNormAct`.
        dropout: Dropout rate after each of the last two encoder stages.
    """
    unit: dict[str, Any] = {"padding": padding, "norm": norm}
    x = pixels
    skips: list[keras.KerasTensor] = []
    for stage, width in enumerate(widths, start=1):
        if stage > 1:
            # "same" rounds up, so the decoder can restore any size; rounding down would lose pixels.
            x = for_map(layers.MaxPooling2D, x)(2, padding=padding, name=f"stage{stage}_pool")(x)
        x = ConvNormAct(width, 3, name=f"stage{stage}_conv1", **unit)(x)
        x = ConvNormAct(width, 3, name=f"stage{stage}_conv2", **unit)(x)
        if dropout and stage > len(widths) - 2:
            x = layers.Dropout(dropout, name=f"stage{stage}_drop")(x)
        skips.append(x)
    x = skips.pop()
    for step, (width, skip) in enumerate(zip(widths[-2::-1], reversed(skips), strict=True), start=1):
        x = UpBlock(width, width, up=up, up_filters=width, name=f"decoder{step}", **unit)([x, skip])
    return x


def unet_on_backbone(
    maps: dict[int, keras.KerasTensor],
    *,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    up: str = "resize",
    norm: Norm = NORM,
) -> keras.KerasTensor:
    """Apply a U-Net decoder to backbone feature maps and return the decoder's last feature map, of stride 1.

    Every block upsamples by 2, concatenates the backbone's feature map of that stride if there is one, and applies two
    3x3 convolutions: the decoder of segmentation_models (https://github.com/qubvel-org/segmentation_models.pytorch).

    Args:
        maps: Deepest feature map of each stride, `(batch, ceil(height / stride), ceil(width / stride), channels)`.
        widths: Channels of each block, from the deepest on; one for each factor of 2 in the backbone's stride.
        up: `"resize"` (bilinear, without a convolution) or `"transpose"`.
        norm: As in `ConvNormAct`.

    Raises:
        ValueError: The number of `widths` does not lead to stride 1.
    """
    stride = max(maps)
    if 2 ** len(widths) != stride:
        raise ValueError(f"widths has {len(widths)} entries; give one for each factor of 2 in the stride {stride}.")
    x = maps[stride]
    for step, width in enumerate(widths, start=1):
        stride //= 2
        joined = [x, maps[stride]] if stride in maps else x
        up_filters = width if up == "transpose" else None
        x = UpBlock(width, width, up=up, up_filters=up_filters, norm=norm, name=f"decoder{step}")(joined)
    return x
