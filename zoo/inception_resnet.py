"""Inception-ResNet v2.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning
(arXiv:1602.07261). Its widths and its stem are those of the authors' code (TF-slim) and of Keras: the stem is that of
v3, not figure 3, and the stages are 320, 1088 and 2080 wide, not 384, 1152 and 2048.
"""

from collections.abc import Sequence

import keras

from ..layers import ConvNormAct, InceptionModule, InceptionResidual
from ..layers.inception_module import Branches, average_pool, conv, max_pool, scaled, times
from ..layers.norm_and_activation import Norm
from .inception import BARE_NORM, REDUCE, v3_stem

SCALES = (0.17, 0.1, 0.2)
"""By stage: times that a block's branches are added."""


def inception_resnet_v2(
    pixels: keras.KerasTensor, *, blocks: Sequence[int] = (10, 20, 10), width: float = 1.0, norm: Norm = BARE_NORM
) -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Args:
        pixels: What the image holds, normalised.
        blocks: Residual blocks of each of the three stages.
        width: Times as many channels everywhere.
        norm: After each convolution; timm's net has a gain.
    """
    x = v3_stem(pixels, width, norm)
    entries = [_mixed_5b(), _reduction_a(), _reduction_b()]
    residuals = [_block_a(), _block_b(), _block_c()]
    for stage, (entry, residual, count) in enumerate(zip(entries, residuals, blocks, strict=True), start=1):
        x = InceptionModule(scaled(entry, width), norm=norm, name=f"stage{stage}_entry")(x)
        for block in range(1, count + 1):
            last = stage == len(blocks) and block == count
            x = InceptionResidual(
                scaled(residual, width),
                x.shape[-1],
                scale=1.0 if last else SCALES[stage - 1],
                norm=norm,
                output_activation=None if last else "relu",
                name=f"stage{stage}_block{block}",
            )(x)
    return ConvNormAct(times(width, 1536), 1, norm=norm, name="final")(x)


def _mixed_5b() -> Branches:
    """As in v3, figure 5 of the paper on it."""
    return [
        [conv(96, 1)],
        [conv(48, 1), conv(64, 5)],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [average_pool(3), conv(64, 1)],
    ]


def _block_a() -> Branches:
    """Figure 16."""
    return [
        [conv(32, 1)],
        [conv(32, 1), conv(32, 3)],
        [conv(32, 1), conv(48, 3), conv(64, 3)],
    ]


def _reduction_a() -> Branches:
    """Figure 7 with k, l, m, n = 256, 256, 384, 384."""
    return [
        [conv(384, 3, **REDUCE)],
        [conv(256, 1), conv(256, 3), conv(384, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _block_b() -> Branches:
    """Figure 17."""
    return [
        [conv(192, 1)],
        [conv(128, 1), conv(160, (1, 7)), conv(192, (7, 1))],
    ]


def _reduction_b() -> Branches:
    """Figure 18."""
    return [
        [conv(256, 1), conv(384, 3, **REDUCE)],
        [conv(256, 1), conv(288, 3, **REDUCE)],
        [conv(256, 1), conv(288, 3), conv(320, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _block_c() -> Branches:
    """Figure 19."""
    return [
        [conv(192, 1)],
        [conv(192, 1), conv(224, (1, 3)), conv(256, (3, 1))],
    ]
