"""Detectors on a feature pyramid of any backbone: maps of several strides, each for objects of a range of sizes.

Tian, Shen, Chen, He: FCOS: Fully Convolutional One-Stage Object Detection (arXiv:1904.01355), without anchors. A deeper
map of the pyramid is enlarged and concatenated with that of the backbone, as in YOLOX (arXiv:2107.08430).
"""

from collections.abc import Sequence
from typing import Any

import keras

from ..layers import ConvNormAct, UpBlock
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}


def fcos_on_backbone(
    maps: dict[int, keras.KerasTensor], *, widths: Sequence[int] = (96, 64, 64), norm: Norm = NORM
) -> list[keras.KerasTensor]:
    """Apply a pyramid to backbone feature maps and return its maps, the deepest first.

    Args:
        maps: Deepest feature map of each stride, `(batch, ceil(height / stride), ceil(width / stride), channels)`.
        widths: Channels of each map of the pyramid, from the deepest on; each has half the stride of the one before.
        norm: As in `ConvNormAct`.

    Raises:
        ValueError: The backbone has no map of a stride.
    """
    strides = [max(maps) // 2**step for step in range(len(widths))]
    if missing := [stride for stride in strides if stride not in maps]:
        raise ValueError(f"widths has {len(widths)} entries, but the backbone has no map of stride {missing[0]}.")
    pyramid = [ConvNormAct(widths[0], 3, name="pyramid1", norm=norm)(maps[strides[0]])]
    for step, (stride, width) in enumerate(zip(strides[1:], widths[1:], strict=True), start=2):
        block = UpBlock(width, width, up="resize", name=f"pyramid{step}", norm=norm)
        pyramid.append(block([pyramid[-1], maps[stride]]))
    return pyramid
