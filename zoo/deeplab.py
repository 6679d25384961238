"""DeepLab v3: a dilated backbone under an atrous spatial pyramid.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation (arXiv:1706.05587).
"""

from collections.abc import Sequence

import keras

from ..layers import ASPP, ConvNormAct

NORM = {"name": "batch", "epsilon": 1e-5}


def deeplab_v3(
    maps: dict[int, keras.KerasTensor],
    *,
    filters: int = 256,
    rates: Sequence[int] = (6, 12, 18),
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """A backbone's maps by stride to the map that the scores are taken from, of the deepest one's stride.

    The last 3x3 convolution is torchvision's, as its dropout is; the paper scores the pyramid's own output.

    Args:
        maps: The backbone's maps by stride.
        filters: Channels of every branch of the pyramid and of the output.
        rates: Dilation of the pyramid's 3x3 convolutions: the paper's for an output stride of 16; twice as much for 8.
        dropout: Share of the pyramid's output that training drops.
    """
    branches = [filters] * (1 + len(rates))
    x = ASPP(filters, branches, filters, rates, dropout=dropout, norm=NORM, name="aspp")(maps[max(maps)])
    return ConvNormAct(filters, 3, norm=NORM, name="aspp_refine")(x)
