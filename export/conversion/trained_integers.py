"""What converters take of a model that was trained for integers."""

import keras
import numpy as np

from ...layers import FakeQuantize
from ...layers.quantized_kernels import KernelOnGrid


def activation_bits(model: keras.Model) -> int | None:
    """Bits of the activations that a flat `model` was trained for; None for a float model."""
    return next((layer.bits for layer in model.layers if isinstance(layer, FakeQuantize)), None)


def with_rounded_kernels(flat: keras.Model) -> keras.Model:
    """The same function with the int8 kernels written out as floats, in stock layers; the activations' grids stay.

    What a converter then finds to be a kernel's step is the one it was trained with: its greatest weight is 127 steps.
    """
    stock: dict[int, keras.layers.Layer] = {}

    def rounded(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, KernelOnGrid):
            return layer
        if id(layer) not in stock:
            stock[id(layer)] = _with_uneven_bias(layer.as_stock())
        return stock[id(layer)]

    return keras.models.clone_model(flat, clone_function=rounded)


def _with_uneven_bias(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer with a bias that is not the same number throughout.

    Such a bias the TFLite converter quantises once, by the first channel's step, and gives all channels that integer.
    """
    if layer.bias is not None and len(set(layer.bias.numpy().tolist())) == 1:
        bias = layer.bias.numpy()
        bias[0] = np.nextafter(bias[0], np.float32(1))
        layer.bias.assign(bias)
    return layer
