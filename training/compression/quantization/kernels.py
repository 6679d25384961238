"""Layers with int8 kernels, with following normalization folded in."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from ....layers import QuantizedConv2D, QuantizedConv2DTranspose, QuantizedDense, QuantizedDepthwiseConv2D

QUANTIZED_LAYERS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    quantized.STOCK: quantized
    for quantized in (QuantizedConv2D, QuantizedConv2DTranspose, QuantizedDepthwiseConv2D, QuantizedDense)
}
"""By class of the Keras layer that they replace."""


class Affine(NamedTuple):
    """`x * scale + offset`, each a scalar or one number per channel."""

    scale: np.ndarray
    offset: np.ndarray


def affine_of(layer: keras.Operation) -> Affine | None:
    """Return what a BatchNorm does in inference, or a Rescaling; None for other layers."""
    if isinstance(layer, keras.layers.Rescaling):
        return Affine(np.asarray(layer.scale, "float64"), np.asarray(layer.offset, "float64"))
    if not isinstance(layer, keras.layers.BatchNormalization):
        return None
    mean, variance = (np.asarray(weight, "float64") for weight in (layer.moving_mean, layer.moving_variance))
    scale = (np.asarray(layer.gamma, "float64") if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    return Affine(scale, (np.asarray(layer.beta, "float64") if layer.center else 0.0) - mean * scale)


def fold_into_quantized(layer: keras.layers.Layer, affines: Sequence[Affine]) -> keras.layers.Layer:
    """Return a layer with an int8 kernel that computes `layer`, without its activation, followed by `affines`."""
    config = layer.get_config() | {"use_bias": True, "activation": None}
    quantized = QUANTIZED_LAYERS[type(layer)].from_config(config)
    quantized.build_from_config(layer.get_build_config())
    kernel, *bias = (weight.astype("float64") for weight in layer.get_weights())
    bias = bias[0] if bias else np.zeros(quantized.bias.shape)
    for scale, offset in affines:
        kernel, bias = kernel * _along_outputs(np.broadcast_to(scale, bias.shape), quantized), bias * scale + offset
    quantized.set_weights([kernel, bias])
    return quantized


def pointwise(affine: Affine, channels: int, **arguments) -> keras.layers.Layer:
    """Return `affine` as a layer of its own: a 1x1 depthwise convolution, whose int8 kernel is exact.

    Args:
        affine: Scale and offset, scalars or one number per channel.
        channels: Number of channels of the input and the output.
        arguments: Keyword arguments of the layer.
    """
    layer = QuantizedDepthwiseConv2D(1, **arguments)
    layer.build((None, None, None, channels))
    kernel, bias = (np.broadcast_to(part, (channels,)) for part in affine)
    layer.set_weights([kernel.reshape(1, 1, channels, 1), bias])
    return layer


def _along_outputs(values: np.ndarray, quantized: keras.layers.Layer) -> np.ndarray:
    """Return one value per output channel in a shape that broadcasts against the kernel."""
    return values.reshape(
        [size if axis in quantized.output_axes else 1 for axis, size in enumerate(quantized.kernel.shape)]
    )
