"""Quantization-aware models in a form that converters accept."""

import keras
import numpy as np

from ...layers import FakeQuantize
from ...layers.quantized_kernels import KernelOnGrid


def activation_bits(model: keras.Model) -> int | None:
    """Bits of the activations for which a flat `model` was trained; None for a float model."""
    return next((layer.bits for layer in model.layers if isinstance(layer, FakeQuantize)), None)


def with_rounded_kernels(flat: keras.Model) -> keras.Model:
    """Replace quantization-aware layers by stock layers with dequantized int8 kernels; activation ranges stay.

    A converter then recovers the scale of each kernel that was used in training: its largest weight is 127 steps.
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
    """Change a bias whose values are all equal by one unit in the last place.

    The TFLite converter quantizes such a bias once, with the scale of the first channel, and uses the result for all.
    """
    if layer.bias is not None and len(set(layer.bias.numpy().tolist())) == 1:
        bias = layer.bias.numpy()
        bias[0] = np.nextafter(bias[0], np.float32(np.inf))
        layer.bias.assign(bias)
    return layer
