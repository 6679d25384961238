"""Layers with int8 kernels, into which what follows them is folded."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from ....layers import QuantizedConv2D, QuantizedConv2DTranspose, QuantizedDense, QuantizedDepthwiseConv2D

KERNELS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    keras.layers.Conv2D: QuantizedConv2D,
    keras.layers.Conv2DTranspose: QuantizedConv2DTranspose,
    keras.layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    keras.layers.Dense: QuantizedDense,
}


class Affine(NamedTuple):
    """`x * scale + offset`, each a number or one for each channel."""

    scale: np.ndarray
    offset: np.ndarray


def affine_of(layer: keras.Operation) -> Affine | None:
    """What a BatchNorm does at inference, or a Rescaling; None for another layer."""
    if isinstance(layer, keras.layers.Rescaling):
        return Affine(np.asarray(layer.scale, "float64"), np.asarray(layer.offset, "float64"))
    if not isinstance(layer, keras.layers.BatchNormalization):
        return None
    mean, variance = (np.asarray(weight, "float64") for weight in (layer.moving_mean, layer.moving_variance))
    scale = (np.asarray(layer.gamma, "float64") if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    return Affine(scale, (np.asarray(layer.beta, "float64") if layer.center else 0.0) - mean * scale)


def quantized_twin(layer: keras.layers.Layer, affines: Sequence[Affine]) -> keras.layers.Layer:
    """A layer with an int8 kernel that does what `layer` and then `affines` do, without the layer's activation."""
    config = layer.get_config() | {"use_bias": True, "activation": None}
    twin = KERNELS[type(layer)].from_config(config)
    twin.build_from_config(layer.get_build_config())
    kernel, *bias = (weight.astype("float64") for weight in layer.get_weights())
    bias = bias[0] if bias else np.zeros(twin.bias.shape)
    for scale, offset in affines:
        kernel, bias = kernel * _along_outputs(np.broadcast_to(scale, bias.shape), twin), bias * scale + offset
    twin.set_weights([kernel, bias])
    return twin


def pointwise(affine: Affine, channels: int, **arguments) -> keras.layers.Layer:
    """`affine` as a layer of its own: a 1x1 depthwise convolution, one operation whose int8 kernel is exact.

    Args:
        affine: What it does to a map of `channels`.
        channels: Of the input and the output.
        arguments: Of the layer.
    """
    layer = QuantizedDepthwiseConv2D(1, **arguments)
    layer.build((None, None, None, channels))
    kernel, bias = (np.broadcast_to(part, (channels,)) for part in affine)
    layer.set_weights([kernel.reshape(1, 1, channels, 1), bias])
    return layer


def _along_outputs(values: np.ndarray, twin: keras.layers.Layer) -> np.ndarray:
    """One value for each output, of a shape that multiplies the kernel."""
    return values.reshape([size if axis in twin.OUTPUTS else 1 for axis, size in enumerate(twin.kernel.shape)])
