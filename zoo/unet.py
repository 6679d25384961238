"""U-Net, the paper's and on any backbone.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation (arXiv:1505.04597).
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..layers import ConvNormAct, UpBlock
from ..layers.norm_and_activation import Norm

NORM = {"name": "batch", "epsilon": 1e-5}


def unet(
    pixels: keras.KerasTensor,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    padding: str = "valid",
    up: str = "transpose",
    norm: Norm = None,
    dropout: float = 0.5,
) -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the decoder's last map, of stride 1.

    Args:
        pixels: What the image holds, normalised.
        widths: Channels of each stage, from the image down; the decoder's steps have those of the stages they join.
        padding: `"valid"` as in the paper, where 572 places a side become 388; or `"same"`, which keeps any size.
        up: How the decoder enlarges: `"transpose"` as in the paper, or `"resize"`, which edge runtimes take everywhere.
        norm: None as in the paper, or as in `ConvNormAct`.
        dropout: Share that training drops at the end of the contracting path, after each of the last two stages.
    """
    unit = {"padding": padding, "norm": norm}
    x, skips = pixels, []
    for stage, width in enumerate(widths, start=1):
        if stage > 1:
            # Rounding up, as "same" does, lets the decoder come back to every size; rounding down cannot.
            x = layers.MaxPooling2D(2, padding=padding, name=f"stage{stage}_pool")(x)
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
    """A backbone's maps by stride to the decoder's last map, of stride 1.

    Every step enlarges twofold, joins the backbone's map of that stride where it has one, and ends in two 3x3
    convolutions: the decoder of segmentation_models (https://github.com/qubvel-org/segmentation_models.pytorch).

    Args:
        maps: Deepest map of each stride, `(batch, ceil(height / stride), ceil(width / stride), channels)`.
        widths: Channels of each step, from the deepest on; as many as there are halvings to undo.
        up: `"resize"` (bilinear, without a convolution of its own) or `"transpose"`.
        norm: As in `ConvNormAct`.

    Raises:
        ValueError: The steps do not end at stride 1.
    """
    stride = max(maps)
    if 2 ** len(widths) != stride:
        raise ValueError(f"widths has {len(widths)} entries; from stride {stride} to 1 it takes one for each halving.")
    x = maps[stride]
    for step, width in enumerate(widths, start=1):
        stride //= 2
        joined = [x, maps[stride]] if stride in maps else x
        up_filters = width if up == "transpose" else None
        x = UpBlock(width, width, up=up, up_filters=up_filters, norm=norm, name=f"decoder{step}")(joined)
    return x
