"""LeNet-5. LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition (1998)."""

import keras
from keras import layers

from ..layers import ConvNormAct


def lenet5(pixels: keras.KerasTensor, *, activation: str = "tanh") -> keras.KerasTensor:
    """Normalised pixels `(batch, height, width, channels)` to the map S4, figure 2 of the paper."""
    x = ConvNormAct(6, 5, padding="valid", norm=None, activation=activation, **_glorot("stage1_conv"))(pixels)  # C1
    x = layers.AveragePooling2D(2, name="stage1_pool")(x)  # S2
    x = ConvNormAct(16, 5, padding="valid", norm=None, activation=activation, **_glorot("stage2_conv"))(x)  # C3
    return layers.AveragePooling2D(2, name="stage2_pool")(x)  # S4


def dense_layers(x: keras.KerasTensor, *, activation: str = "tanh") -> keras.KerasTensor:
    """The map S4 to the 84 features of F6."""
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation=activation, name="dense1")(x)  # C5: a 5x5 convolution over a 5x5 map
    return layers.Dense(84, activation=activation, name="dense2")(x)  # F6


def _glorot(name: str) -> dict[str, str]:
    # Glorot keeps the variance through tanh; the layers' default (He) is made for ReLU.
    return {"kernel_initializer": "glorot_uniform", "name": name}
