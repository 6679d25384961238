"""Single-map detectors on any backbone: one feature map, whose positions are the candidates.

Zhou, Wang, Krähenbühl: Objects as Points (arXiv:1904.07850). For microcontrollers, the map of one endpoint and no
decoder, as FOMO of Edge Impulse has it (https://docs.edgeimpulse.com, "FOMO"), which finds middles alone: boxes take
four channels of a 1x1 convolution more.
"""

from collections.abc import Sequence
from typing import Any

import keras

from ..layers import ConvNormAct, UpBlock
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}


def centernet_on_backbone(
    maps: dict[int, keras.KerasTensor], *, widths: Sequence[int] = (96, 64, 48), up: str = "resize", norm: Norm = NORM
) -> keras.KerasTensor:
    """Apply a decoder with skip connections to backbone feature maps and return its last map.

    Args:
        maps: Deepest feature map of each stride, `(batch, ceil(height / stride), ceil(width / stride), channels)`.
        widths: Channels of each block, from the deepest on; each halves the stride.
        up: As in `UpBlock`.
        norm: As in `ConvNormAct`.

    Raises:
        ValueError: There are more `widths` than factors of 2 in the stride.
    """
    stride = max(maps)
    if 2 ** len(widths) > stride:
        raise ValueError(f"widths has {len(widths)} entries, more than there are factors of 2 in the stride {stride}.")
    x = maps[stride]
    for step, width in enumerate(widths, start=1):
        stride //= 2
        joined = [x, maps[stride]] if stride in maps else x
        up_filters = width if up == "transpose" else None
        x = UpBlock(width, width, up=up, up_filters=up_filters, norm=norm, name=f"decoder{step}")(joined)
    return x


def centernet_without_decoder(
    maps: dict[int, keras.KerasTensor], *, stride: int = 8, width: int = 32, norm: Norm = NORM
) -> keras.KerasTensor:
    """Apply a 1x1 convolution to the backbone's map of one stride, after which the backbone ends.

    Args:
        maps: As in `centernet_on_backbone`.
        stride: Image pixels for one position.
        width: Channels of the convolution.
        norm: As in `ConvNormAct`.

    Raises:
        ValueError: The backbone has no map of that stride.
    """
    if stride not in maps:
        raise ValueError(f"stride is {stride}; the backbone has maps of the strides {', '.join(map(str, maps))}.")
    return ConvNormAct(width, 1, norm=norm, name="features")(maps[stride])
