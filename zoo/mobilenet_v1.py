"""MobileNet: depthwise separable convolutions from end to end.

Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (arXiv:1704.04861).
"""

import keras

from ..layers import ConvNormAct, SeparableConvNormAct

NORM = {"name": "batch", "epsilon": 1e-3}
UNIT = {"norm": NORM, "activation": "relu6"}

STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
"""Output channels of the separable convolutions, table 1 of the paper; all stages but the first begin with a step."""


def mobilenet_v1(pixels: keras.KerasTensor, *, width: float = 1.0, padding: str = "same") -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Args:
        pixels: What the image holds, normalised.
        width: Times as many channels everywhere, the paper's alpha: 1, 0.75, 0.5 or 0.25.
        padding: Of every 3x3 convolution: `"same"`, as TensorFlow has it, or `"symmetric"`, as PyTorch's nets.
    """
    x = ConvNormAct(int(32 * width), 3, strides=2, padding=padding, name="stem", **UNIT)(pixels)
    for stage, blocks in enumerate(STAGES, start=1):
        for block, filters in enumerate(blocks, start=1):
            x = SeparableConvNormAct(
                int(filters * width),
                3,
                strides=2 if block == 1 and stage > 1 else 1,
                padding=padding,
                between=True,
                name=f"stage{stage}_block{block}",
                **UNIT,
            )(x)
    return x
