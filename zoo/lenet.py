"""LeNet-5. LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition (1998)."""

from typing import Any

import keras
from keras import layers

from ..layers import ConvNormAct
from ..layers.dimensions import for_map


def lenet5(pixels: keras.KerasTensor, *, activation: str = "tanh") -> keras.KerasTensor:
    """Apply the convolutions of LeNet-5 and return the feature map S4 (figure 2 of the paper).

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        activation: Activation of the convolutions.
    """
    x = ConvNormAct(6, 5, padding="valid", norm=None, activation=activation, **_glorot("stage1_conv"))(pixels)  # C1
    x = for_map(layers.AveragePooling2D, x)(2, name="stage1_pool")(x)  # S2
    x = ConvNormAct(16, 5, padding="valid", norm=None, activation=activation, **_glorot("stage2_conv"))(x)  # C3
    return for_map(layers.AveragePooling2D, x)(2, name="stage2_pool")(x)  # S4


def dense_layers(x: keras.KerasTensor, *, activation: str = "tanh") -> keras.KerasTensor:
    """Apply the dense layers to the feature map S4 and return the features of F6, `(batch, 84)`."""
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation=activation, name="dense1")(x)  # C5: a 5x5 convolution over a 5x5 map
    return layers.Dense(84, activation=activation, name="dense2")(x)  # F6


def _glorot(name: str) -> dict[str, Any]:
    # Glorot preserves the variance with tanh; the layers' default, He, assumes ReLU.
    return {"kernel_initializer": "glorot_uniform", "name": name}
