"""DeepLab v3: atrous spatial pyramid pooling on a dilated backbone.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation (arXiv:1706.05587).
"""

from collections.abc import Sequence
from typing import Any

import keras

from ..layers import ASPP, ConvNormAct

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-5}


def deeplab_v3(
    maps: dict[int, keras.KerasTensor],
    *,
    filters: int = 256,
    rates: Sequence[int] = (6, 12, 18),
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """Apply the decoder to the deepest backbone feature map and return a feature map of the same stride.

    The last 3x3 convolution and the dropout are as in torchvision; the paper has neither.

    Args:
        maps: The backbone's feature maps `(batch, height, width, channels)` by stride.
        filters: Channels of every branch of the pyramid and of the output.
        rates: Dilation rates of the pyramid's 3x3 convolutions: the paper's for an output stride of 16; double for 8.
        dropout: Dropout rate of the pyramid's output.
    """
    branches = [filters] * (1 + len(rates))
    x = ASPP(filters, branches, filters, rates, dropout=dropout, norm=NORM, name="aspp")(maps[max(maps)])
    return ConvNormAct(filters, 3, norm=NORM, name="aspp_refine")(x)
