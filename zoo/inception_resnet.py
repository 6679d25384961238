"""Inception-ResNet v2.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning
(arXiv:1602.07261). Widths and stem follow the authors' code (TF-slim) and Keras: the stem is that of v3, not figure 3,
and the stages have 320, 1088 and 2080 channels, not 384, 1152 and 2048.
"""

from collections.abc import Sequence

import keras

from ..layers import ConvNormAct, InceptionModule, InceptionResidual
from ..layers.inception_module import Branches, average_pool, conv, max_pool, scale_branches, scale_filters
from ..layers.norm_and_activation import Norm
from .inception import BARE_NORM, REDUCE, v3_stem

SCALES = (0.17, 0.1, 0.2)
"""Scale of the residual, by stage."""


def inception_resnet_v2(
    pixels: keras.KerasTensor, *, blocks: Sequence[int] = (10, 20, 10), width: float = 1.0, norm: Norm = BARE_NORM
) -> keras.KerasTensor:
    """Apply Inception-ResNet v2 and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Number of residual blocks in each of the three stages.
        width: Channel multiplier.
        norm: Normalization after each convolution; timm's model also learns a scale (gamma).
    """
    x = v3_stem(pixels, width, norm)
    entries = [_mixed_5b(), _reduction_a(), _reduction_b()]
    residuals = [_block_a(), _block_b(), _block_c()]
    for stage, (entry, residual, count) in enumerate(zip(entries, residuals, blocks, strict=True), start=1):
        x = InceptionModule(scale_branches(entry, width), norm=norm, name=f"stage{stage}_entry")(x)
        for block in range(1, count + 1):
            last = stage == len(blocks) and block == count
            x = InceptionResidual(
                scale_branches(residual, width),
                x.shape[-1],
                scale=1.0 if last else SCALES[stage - 1],
                norm=norm,
                output_activation=None if last else "relu",
                name=f"stage{stage}_block{block}",
            )(x)
    return ConvNormAct(scale_filters(1536, width), 1, norm=norm, name="final")(x)


def _mixed_5b() -> Branches:
    """Figure 5 of the Inception v3 paper."""
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
