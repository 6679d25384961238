"""ResNet for small images.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (arXiv:1512.03385), section 4.2.
"""

from collections.abc import Sequence

import keras

from ..layers import ConvNormAct, ResidualBlock


def resnet_cifar(
    pixels: keras.KerasTensor,
    *,
    blocks: int,
    widths: Sequence[int] = (16, 32, 64),
    shortcut: str = "pad",
) -> keras.KerasTensor:
    """Apply the CIFAR ResNet and return the feature map before global pooling.

    With the head it has 6 * `blocks` + 2 layers with weights, the number in the model's name.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Residual blocks in each stage (n in the paper).
        widths: Channels of the stages; each stage after the first halves height and width.
        shortcut: `"pad"` (option A, the paper's for these nets) or `"projection"` (option B) where the shape changes.
    """
    x = ConvNormAct(widths[0], 3, name="stem")(pixels)
    for stage, width in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(
                width, strides, new_channels=width - x.shape[-1], shortcut=shortcut, name=f"stage{stage}_block{block}"
            )(x)
    return x


def _block(width: int, strides: int, *, new_channels: int, shortcut: str, name: str) -> ResidualBlock:
    if strides == 1 and new_channels == 0:
        return ResidualBlock(width, width, name=name)
    before = new_channels // 2
    pad = (before, new_channels - before) if shortcut == "pad" else (0, 0)
    return ResidualBlock(width, width, strides=strides, shortcut=shortcut, pad_channels=pad, name=name)
